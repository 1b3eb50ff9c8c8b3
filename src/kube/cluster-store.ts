import type { Clock } from "../clock.ts";
import { LanyardError } from "../errors.ts";
import type { Logger } from "../telemetry/log.ts";
import { createInformer, type Informer, type InformerMetrics } from "./informer.ts";
import type { KubernetesClient } from "./kubernetes-client.ts";
import type { KubernetesObject, OwnerReference, ResourceType } from "./objects.ts";
import type { ResourceStore, ResourceView, ViewScope } from "./resource-store.ts";

/** Whether this replica may write, as leader election sees it. */
export interface Leadership {
  mayWrite(): boolean;
  /** Aborts when the present leadership ends; asked for at each write. */
  signal(): AbortSignal;
}

export interface ClusterStoreOptions {
  readonly client: KubernetesClient;
  readonly clock: Clock;
  readonly log: Logger;
  readonly leadership: Leadership;
  /** The owner of an object that is created in `namespace`, or cluster-wide without one (contract 6.7). */
  readonly ownerReference: (namespace: string | undefined) => OwnerReference | undefined;
  /** Put on every object that is created (contract 6.1); the object's own win. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly metrics?: InformerMetrics;
}

/** The `ResourceStore` over a cluster: shared informers to read, gated calls to write. */
export interface ClusterStore extends ResourceStore {
  /** Starts the informers of all views; those of later views start at once. */
  start(): void;
  /**
   * Resolves when every view has synced.
   *
   * @throws LanyardError `kubernetes.sync.timeout` naming those that have not, after `timeoutMilliseconds` or on abort.
   */
  waitForSync(signal: AbortSignal, timeoutMilliseconds: number): Promise<void>;
  /** Ends all watches; the views keep what they have. */
  stop(): Promise<void>;
}

const syncPollMilliseconds = 20;

export function createClusterStore(options: ClusterStoreOptions): ClusterStore {
  const { client, clock, log, leadership, ownerReference, labels = {}, metrics } = options;
  const informers = new Map<
    string,
    { readonly name: string; readonly informer: Informer<KubernetesObject> }
  >();
  let state: "waiting" | "started" | "stopped" = "waiting";

  /** Contract 6.8: a replica that does not lead makes no network call at all. */
  async function write<R>(call: (signal: AbortSignal) => Promise<R>): Promise<R> {
    const signal = leadership.signal();
    if (!leadership.mayWrite() || signal.aborted) {
      throw new LanyardError({
        code: "leadership.required",
        message: "request mutation failed: write attempt rejected as client is not leader",
      });
    }
    try {
      return await call(signal);
    } catch (error) {
      if (error instanceof LanyardError && error.code === "kubernetes.aborted" && leadershipEnded(signal)) {
        throw new LanyardError({
          code: "leadership.required",
          message: "request mutation ended: leadership was lost while it was under way",
          cause: error,
        });
      }
      throw error;
    }
  }

  function withOwnerAndLabels<T extends KubernetesObject>(object: T): T {
    const { metadata } = object;
    const owner =
      (metadata.ownerReferences ?? []).length > 0 ? undefined : ownerReference(metadata.namespace);
    const merged = { ...labels, ...metadata.labels };
    return {
      ...object,
      metadata: {
        ...metadata,
        ...(Object.keys(merged).length === 0 ? {} : { labels: merged }),
        ...(owner === undefined ? {} : { ownerReferences: [owner] }),
      },
    };
  }

  function view<T extends KubernetesObject>(
    resource: ResourceType<T>,
    scope: ViewScope = {},
  ): ResourceView<T> {
    const key = JSON.stringify([
      resource.group,
      resource.version,
      resource.plural,
      scope.namespace ?? "",
      scope.labelSelector ?? "",
      scope.fieldSelector ?? "",
    ]);
    const known = informers.get(key);
    if (known !== undefined) {
      return known.informer as unknown as Informer<T>;
    }
    const informer = createInformer({ client, resource, scope, clock, log, metrics });
    const where = scope.namespace === undefined ? "" : ` in namespace ${scope.namespace}`;
    informers.set(key, {
      name: resource.plural + where,
      informer,
    });
    if (state === "started") {
      informer.start();
    }
    return informer;
  }

  return {
    view,
    get: (resource, key) => client.get(resource, key),
    create: (resource, object) =>
      write((signal) => client.create(resource, withOwnerAndLabels(object), signal)),
    update: (resource, object) => write((signal) => client.update(resource, object, signal)),
    updateStatus: (resource, object) => write((signal) => client.updateStatus(resource, object, signal)),
    delete: (resource, key, preconditions) =>
      write((signal) => client.delete(resource, key, preconditions, signal)),
    start: () => {
      if (state === "waiting") {
        state = "started";
        for (const { informer } of informers.values()) {
          informer.start();
        }
      }
    },
    waitForSync: async (signal, timeoutMilliseconds) => {
      const deadline = clock.now() + timeoutMilliseconds;
      for (;;) {
        const missing = [...informers.values()].filter(({ informer }) => !informer.hasSynced());
        if (missing.length === 0) {
          return;
        }
        if (signal.aborted || clock.now() >= deadline) {
          const when = signal.aborted ? "when waiting ended" : `within ${timeoutMilliseconds} ms`;
          const names = missing.map(({ name }) => name).join(", ");
          const trouble = missing[0]?.informer.trouble();
          const cause = trouble === undefined ? "" : `; the first because of: ${trouble}`;
          throw new LanyardError({
            code: "kubernetes.sync.timeout",
            message: `not synced ${when}: ${names}${cause}; check the ServiceAccount's rights to list and watch, and the way to the API server`,
          });
        }
        await clock.sleep(syncPollMilliseconds, signal);
      }
    },
    stop: async () => {
      state = "stopped";
      await Promise.all([...informers.values()].map(({ informer }) => informer.stop()));
    },
  };
}

/** A function, as the compiler believes that a signal stays as it was last seen. */
function leadershipEnded(signal: AbortSignal): boolean {
  return signal.aborted;
}
