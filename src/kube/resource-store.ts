import type { KubernetesObject, ObjectKey, ResourceType } from "./objects.ts";

/** What to watch: one namespace or all, narrowed by exact labels or by name. */
export interface ViewScope {
  readonly namespace?: string;
  /** A label selector as in `metav1.ListOptions`. */
  readonly labelSelector?: string;
  /** A field selector as in `metav1.ListOptions`. */
  readonly fieldSelector?: string;
}

/** A cached, always current list of one kind. Objects in it are shared: never change them. */
export interface ResourceView<T extends KubernetesObject> {
  get(key: ObjectKey): T | undefined;
  list(): readonly T[];
  /** True once the first list is in; stays true while the source is unreachable. */
  hasSynced(): boolean;
  /** Tells the key of every object that was added, changed or deleted; a listener that throws is logged and stops nothing. */
  subscribe(listener: (key: ObjectKey) => void): () => void;
}

/** Guards against deleting an object that was replaced meanwhile (`metav1.Preconditions`). */
export interface Preconditions {
  readonly uid?: string;
  readonly resourceVersion?: string;
}

/**
 * Where controllers read and write: the cluster, or a folder of manifests (design.md section 3, clarifications.md 22).
 * Writes answer the object as stored and fail with `KubernetesApiError`: 409 `Conflict` when `metadata.resourceVersion`
 * is stale, 409 `AlreadyExists`, 404 `NotFound`; and with code `leadership.required` when this replica is not the leader.
 */
export interface ResourceStore {
  /** Starts watching on the first call for a kind and scope, and shares the watch after. */
  view<T extends KubernetesObject>(resource: ResourceType<T>, scope?: ViewScope): ResourceView<T>;
  /** Reads the object itself, past the cache. */
  get<T extends KubernetesObject>(resource: ResourceType<T>, key: ObjectKey): Promise<T>;
  create<T extends KubernetesObject>(resource: ResourceType<T>, object: T): Promise<T>;
  /** Replaces everything but the status. */
  update<T extends KubernetesObject>(resource: ResourceType<T>, object: T): Promise<T>;
  /** Replaces the status alone. */
  updateStatus<T extends KubernetesObject>(resource: ResourceType<T>, object: T): Promise<T>;
  delete<T extends KubernetesObject>(
    resource: ResourceType<T>,
    key: ObjectKey,
    preconditions?: Preconditions,
  ): Promise<void>;
}
