import type { KubernetesObject, ObjectKey, ResourceType } from "./objects.ts";
import type { Preconditions } from "./resource-store.ts";

export interface KubernetesRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Path with query, starting with `/`. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly signal?: AbortSignal;
  /** For the whole call, milliseconds; default 10,000. */
  readonly timeoutMilliseconds?: number;
}

export interface KubernetesResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** One event of a watch; `object` of an ERROR event is a `Status`. */
export interface WatchEvent<T extends KubernetesObject> {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: T;
}

export interface ListResult<T extends KubernetesObject> {
  readonly resourceVersion: string;
  readonly continueToken: string | undefined;
  readonly items: readonly T[];
}

export interface ListOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly limit?: number;
  readonly continueToken?: string;
  readonly resourceVersion?: string;
  readonly signal?: AbortSignal;
}

export interface WatchOptions extends Omit<ListOptions, "limit" | "continueToken"> {
  readonly timeoutSeconds: number;
}

/** The object and the subresource of it that a review goes to. */
export interface SubresourceTarget {
  readonly key: ObjectKey;
  readonly subresource: string;
}

/**
 * A thin Kubernetes client (engineering.md 4.4). Calls answer 2xx or throw: `KubernetesApiError` for a `Status`, a
 * `LanyardError` with code `kubernetes.unreachable` when there was no answer. Group suffixes are rewritten on the way
 * out and back in, so that callers only ever see the `pinniped.dev` form (contract 1.2).
 */
export interface KubernetesClient {
  /** Any path, any status; throws only when there was no answer. Nothing is rewritten. */
  raw(request: KubernetesRequest): Promise<KubernetesResponse>;
  get<T extends KubernetesObject>(
    resource: ResourceType<T>,
    key: ObjectKey,
    signal?: AbortSignal,
  ): Promise<T>;
  list<T extends KubernetesObject>(resource: ResourceType<T>, options: ListOptions): Promise<ListResult<T>>;
  /** Ends when the server closes the watch or the signal aborts; throws when the stream breaks. */
  watch<T extends KubernetesObject>(
    resource: ResourceType<T>,
    options: WatchOptions,
  ): AsyncIterable<WatchEvent<T>>;
  create<T extends KubernetesObject>(resource: ResourceType<T>, object: T, signal?: AbortSignal): Promise<T>;
  update<T extends KubernetesObject>(resource: ResourceType<T>, object: T, signal?: AbortSignal): Promise<T>;
  updateStatus<T extends KubernetesObject>(
    resource: ResourceType<T>,
    object: T,
    signal?: AbortSignal,
  ): Promise<T>;
  delete<T extends KubernetesObject>(
    resource: ResourceType<T>,
    key: ObjectKey,
    preconditions?: Preconditions,
    signal?: AbortSignal,
  ): Promise<void>;
  /** POST to a virtual resource such as `tokenreviews`; with `target` to a subresource such as `serviceaccounts/token`. */
  review<T extends KubernetesObject>(
    resource: ResourceType<T>,
    object: T,
    signal?: AbortSignal,
    target?: SubresourceTarget,
  ): Promise<T>;
  /** Closes idle connections and ends running calls. */
  close(): Promise<void>;
}
