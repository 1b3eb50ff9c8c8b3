import { LanyardError } from "../../src/errors.ts";
import { KubernetesApiError } from "../../src/kube/api-error.ts";
import type { KubernetesObject, ObjectKey, ResourceType } from "../../src/kube/objects.ts";
import type { ResourceStore, ResourceView } from "../../src/kube/resource-store.ts";

/** A store without a server: views follow writes at once. For unit tests of controllers. */
export interface MemoryStore extends ResourceStore {
  /** Adds or replaces an object as somebody else would, whoever is the leader. */
  put<T extends KubernetesObject>(resource: ResourceType<T>, object: T): void;
  remove(resource: ResourceType<KubernetesObject>, key: ObjectKey): void;
  /** Whether writes go out; otherwise they fail with `leadership.required`. */
  leading: boolean;
  synced: boolean;
  /** Called before each status write that goes out. */
  beforeStatusWrite: (object: KubernetesObject) => void;
  readonly statusWrites: readonly KubernetesObject[];
}

export function createMemoryStore(): MemoryStore {
  const objects = new Map<string, KubernetesObject>();
  const listeners = new Map<string, Set<(key: ObjectKey) => void>>();
  const statusWrites: KubernetesObject[] = [];
  let version = 0;
  const kindKey = (resource: ResourceType<KubernetesObject>): string =>
    `${resource.group}/${resource.plural}`;
  const keyOf = (resource: ResourceType<KubernetesObject>, key: ObjectKey): string =>
    `${kindKey(resource)}/${key.namespace ?? ""}/${key.name}`;
  const tell = (resource: ResourceType<KubernetesObject>, key: ObjectKey): void => {
    for (const listener of listeners.get(kindKey(resource)) ?? []) {
      listener(key);
    }
  };
  const save = <T extends KubernetesObject>(resource: ResourceType<T>, object: T): T => {
    const { namespace, name } = object.metadata;
    const key = namespace === undefined ? { name } : { namespace, name };
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(++version) } };
    objects.set(keyOf(resource, key), stored);
    tell(resource, key);
    return stored;
  };
  const refused = (resource: ResourceType<KubernetesObject>, name: string): KubernetesApiError =>
    new KubernetesApiError({
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      reason: "NotFound",
      message: `${resource.plural} "${name}" not found`,
      code: 404,
    });
  const store: MemoryStore = {
    leading: true,
    synced: true,
    beforeStatusWrite: () => {},
    statusWrites,
    put: (resource, object) => {
      save(resource, object);
    },
    remove: (resource, key) => {
      objects.delete(keyOf(resource, key));
      tell(resource, key);
    },
    view: <T extends KubernetesObject>(resource: ResourceType<T>): ResourceView<T> => ({
      get: (key) => objects.get(keyOf(resource, key)) as T | undefined,
      list: () =>
        [...objects]
          .filter(([key]) => key.startsWith(`${kindKey(resource)}/`))
          .map(([, object]) => object as T),
      hasSynced: () => store.synced,
      subscribe: (listener) => {
        const set = listeners.get(kindKey(resource)) ?? new Set();
        listeners.set(kindKey(resource), set.add(listener));
        return () => set.delete(listener);
      },
    }),
    get: <T extends KubernetesObject>(resource: ResourceType<T>, key: ObjectKey) => {
      const found = objects.get(keyOf(resource, key));
      return found === undefined ? Promise.reject(refused(resource, key.name)) : Promise.resolve(found as T);
    },
    create: (resource, object) => Promise.resolve(save(resource, object)),
    update: (resource, object) => Promise.resolve(save(resource, object)),
    updateStatus: (resource, object) => {
      if (!store.leading) {
        return Promise.reject(
          new LanyardError({ code: "leadership.required", message: "this replica is not the leader" }),
        );
      }
      store.beforeStatusWrite(object);
      if (!objects.has(keyOf(resource, { name: object.metadata.name }))) {
        return Promise.reject(refused(resource, object.metadata.name));
      }
      statusWrites.push(object);
      return Promise.resolve(save(resource, object));
    },
    delete: (resource, key) => {
      store.remove(resource, key);
      return Promise.resolve();
    },
  };
  return store;
}
