import { KubernetesApiError } from "../../kube/api-error.ts";
import { LanyardError } from "../../errors.ts";
import type { Clock } from "../../clock.ts";
import type { KubernetesObject, ObjectKey, ResourceType } from "../../kube/objects.ts";
import type { ResourceStore, ResourceView, ViewScope } from "../../kube/resource-store.ts";

/** A cluster's objects in memory, with optimistic concurrency, UIDs and watches; for tests. */
export interface MemoryCluster {
  /**
   * One replica's way in, or without `mayWrite`, which says whether it leads, an administrator's. Its views lag until
   * `deliver` when `lagging` is set.
   */
  client(options?: { readonly mayWrite?: () => boolean; readonly lagging?: boolean }): MemoryClient;
  /** Every write that was done, such as `update apiservices/x`. */
  readonly writes: readonly string[];
  /** Called before each write of a replica; what it throws is the write's answer. */
  beforeWrite: ((write: string) => void | Promise<void>) | undefined;
}

export interface MemoryClient extends ResourceStore {
  /** Brings a lagging client's views up to date, one event at a time or all of them. */
  deliver(limit?: number): void;
}

interface Stored {
  readonly resource: string;
  readonly object: KubernetesObject;
}

export function createMemoryCluster(clock: Clock): MemoryCluster {
  const objects = new Map<string, Stored>();
  const watchers = new Set<(path: string, stored: Stored | undefined) => void>();
  const writes: string[] = [];
  let revision = 0;

  const pathOf = (resource: ResourceType<KubernetesObject>, key: ObjectKey): string =>
    [resource.plural, key.namespace ?? "", key.name].join("/");
  const fail = (code: number, reason: string, path: string): KubernetesApiError =>
    new KubernetesApiError({
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: `${path}: ${reason}`,
      reason,
      code,
    });
  const put = (resource: string, path: string, object: KubernetesObject): void => {
    const stored = { resource, object: structuredClone(object) };
    objects.set(path, stored);
    announce(path, stored);
  };
  const announce = (path: string, stored: Stored | undefined): void => {
    for (const watcher of [...watchers]) {
      watcher(path, stored);
    }
  };
  const cluster: MemoryCluster = {
    writes,
    beforeWrite: undefined,
    client: ({ mayWrite, lagging = false } = {}) => {
      const cache = new Map(objects);
      const queue: (readonly [string, Stored | undefined])[] = [];
      const listeners = new Set<(path: string) => void>();
      const apply = (path: string, stored: Stored | undefined): void => {
        if (stored === undefined) {
          cache.delete(path);
        } else {
          cache.set(path, stored);
        }
        for (const listener of [...listeners]) {
          listener(path);
        }
      };
      watchers.add((path, stored) => {
        if (lagging) {
          queue.push([path, stored]);
        } else {
          apply(path, stored);
        }
      });
      const write = async <R>(verb: string, path: string, action: () => R): Promise<R> => {
        await Promise.resolve();
        if (mayWrite?.() === false) {
          throw new LanyardError({ code: "leadership.required", message: "client is not leader" });
        }
        if (mayWrite !== undefined) {
          await cluster.beforeWrite?.(`${verb} ${path}`);
        }
        const result = action();
        writes.push(`${verb} ${path}`);
        return result;
      };
      const existing = (path: string): KubernetesObject => {
        const stored = objects.get(path);
        if (stored === undefined) {
          throw fail(404, "NotFound", path);
        }
        return stored.object;
      };
      const replace = <T extends KubernetesObject>(resource: ResourceType<T>, object: T): T => {
        const path = pathOf(resource, object.metadata);
        const before = existing(path);
        const expected = object.metadata.resourceVersion;
        if (expected !== undefined && expected !== before.metadata.resourceVersion) {
          throw fail(409, "Conflict", path);
        }
        const { uid, creationTimestamp } = before.metadata;
        const stored = {
          ...object,
          metadata: {
            ...object.metadata,
            ...(uid === undefined ? {} : { uid }),
            ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
            resourceVersion: String(++revision),
          },
        };
        put(resource.plural, path, stored);
        return structuredClone(stored);
      };
      return {
        deliver: (limit = Number.POSITIVE_INFINITY) => {
          for (const [path, stored] of queue.splice(0, limit)) {
            apply(path, stored);
          }
        },
        view: <T extends KubernetesObject>(
          resource: ResourceType<T>,
          scope: ViewScope = {},
        ): ResourceView<T> => {
          const name = scope.fieldSelector?.replace("metadata.name=", "");
          const labels = (scope.labelSelector ?? "").split(",").map((each) => each.split("="));
          const visible = ({ metadata }: KubernetesObject): boolean =>
            (scope.labelSelector === undefined ||
              labels.every(([key = "", value]) => metadata.labels?.[key] === value)) &&
            (scope.namespace === undefined || metadata.namespace === scope.namespace) &&
            (name === undefined || metadata.name === name);
          return {
            get: (key) => {
              const found = cache.get(pathOf(resource, key))?.object;
              return found !== undefined && visible(found) ? (found as T) : undefined;
            },
            list: () =>
              [...cache.values()]
                .filter((stored) => stored.resource === resource.plural && visible(stored.object))
                .map((stored) => stored.object as T),
            hasSynced: () => true,
            subscribe: (listener) => {
              const onPath = (path: string): void => {
                const [plural, namespace = "", objectName = ""] = path.split("/");
                const key = { ...(namespace === "" ? {} : { namespace }), name: objectName };
                if (
                  plural === resource.plural &&
                  (scope.namespace ?? namespace) === namespace &&
                  (name ?? objectName) === objectName
                ) {
                  listener(key);
                }
              };
              listeners.add(onPath);
              return () => listeners.delete(onPath);
            },
          };
        },
        get: async <T extends KubernetesObject>(resource: ResourceType<T>, key: ObjectKey): Promise<T> => {
          await Promise.resolve();
          return structuredClone(existing(pathOf(resource, key))) as T;
        },
        create: (resource, object) => {
          const path = pathOf(resource, object.metadata);
          return write("create", path, () => {
            if (objects.has(path)) {
              throw fail(409, "AlreadyExists", path);
            }
            const number = ++revision;
            const stored = {
              ...object,
              metadata: {
                ...object.metadata,
                uid: `uid-${number}`,
                resourceVersion: String(number),
                creationTimestamp: new Date(clock.now()).toISOString(),
              },
            };
            put(resource.plural, path, stored);
            return structuredClone(stored);
          });
        },
        update: (resource, object) =>
          write("update", pathOf(resource, object.metadata), () => replace(resource, object)),
        updateStatus: (resource, object) =>
          write("updateStatus", pathOf(resource, object.metadata), () => replace(resource, object)),
        delete: (resource, key, preconditions = {}) => {
          const path = pathOf(resource, key);
          return write("delete", path, () => {
            const { uid, resourceVersion } = existing(path).metadata;
            if (
              (preconditions.uid ?? uid) !== uid ||
              (preconditions.resourceVersion ?? resourceVersion) !== resourceVersion
            ) {
              throw fail(409, "Conflict", path);
            }
            objects.delete(path);
            announce(path, undefined);
          });
        },
      };
    },
  };
  return cluster;
}
