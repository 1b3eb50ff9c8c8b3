import type { Clock } from "../clock.ts";
import { LanyardError } from "../errors.ts";
import type { Logger } from "../telemetry/log.ts";
import { createApiGroupRewriter, defaultApiGroupSuffix } from "./api-group-suffix.ts";
import type { Status } from "./api-error.ts";
import { KubernetesApiError } from "./api-error.ts";
import { createCaller } from "./call.ts";
import type { KubernetesEndpoint } from "./configuration.ts";
import type {
  KubernetesClient,
  KubernetesRequest,
  ListOptions,
  WatchEvent,
  WatchOptions,
} from "./kubernetes-client.ts";
import type { KubernetesObject, ResourceType } from "./objects.ts";
import { keyOf, resourcePath } from "./resource-path.ts";
import { apiErrorOf } from "./status-response.ts";
import type { KubernetesClientMetrics } from "./transport.ts";
import { watchFrames } from "./watch-frames.ts";

export interface KubernetesClientOptions {
  readonly endpoint: KubernetesEndpoint;
  /** Default `pinniped.dev` (contract 1.2). */
  readonly apiGroupSuffix?: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: KubernetesClientMetrics;
  readonly userAgent: string;
  /** Largest answer of a short call; default 64 MiB. */
  readonly maximumResponseBytes?: number;
  /** Connections for short calls, more calls wait; default 256. Watches are not bounded. */
  readonly shortConnections?: number;
}

const listTimeoutMilliseconds = 60_000;

/** The client that everything in the server uses; see `KubernetesClient` for its errors. */
export function createKubernetesClient(options: KubernetesClientOptions): KubernetesClient {
  const { clock } = options;
  const rewriter = createApiGroupRewriter(options.apiGroupSuffix ?? defaultApiGroupSuffix);
  const caller = createCaller({
    endpoint: options.endpoint,
    clock,
    log: options.log.named("kubernetes-client"),
    metrics: options.metrics,
    userAgent: options.userAgent,
    maximumResponseBytes: options.maximumResponseBytes ?? 64 * 1024 * 1024,
    shortConnections: options.shortConnections ?? 256,
  });

  const path = (
    resource: ResourceType<KubernetesObject>,
    where: { readonly namespace?: string | undefined; readonly name?: string; readonly subresource?: string },
  ): string => resourcePath(resource, rewriter.group(resource.group), where);

  async function call<T>(request: KubernetesRequest): Promise<T> {
    const response = await caller.call(request);
    if (response.status < 200 || response.status > 299) {
      throw apiErrorOf(response, clock);
    }
    try {
      return JSON.parse(response.text) as T;
    } catch {
      // The parser's own message quotes the answer, which may hold a Secret.
      throw new LanyardError({
        code: "kubernetes.response.malformed",
        message: `the API server at ${caller.host} answered ${response.status} with a body that is not JSON`,
      });
    }
  }

  async function write<T extends KubernetesObject>(
    method: "POST" | "PUT",
    requestPath: string,
    object: T,
    ownerReferences: boolean,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    const stored = await call<T>({
      method,
      path: requestPath,
      body: rewriter.outgoing(object, { ownerReferences }),
      ...(signal === undefined ? {} : { signal }),
    });
    return rewriter.incoming(stored);
  }

  return {
    raw: (request) => caller.call(request),
    get: async <T extends KubernetesObject>(
      resource: ResourceType<T>,
      key: { readonly namespace?: string; readonly name: string },
      signal?: AbortSignal,
    ): Promise<T> =>
      rewriter.incoming(
        await call<T>({
          method: "GET",
          path: path(resource, key),
          ...(signal === undefined ? {} : { signal }),
        }),
      ),
    list: async <T extends KubernetesObject>(resource: ResourceType<T>, listOptions: ListOptions) => {
      const query = selectionOf(listOptions);
      if (listOptions.limit !== undefined) {
        query.set("limit", String(listOptions.limit));
      }
      if (listOptions.continueToken !== undefined) {
        query.set("continue", listOptions.continueToken);
      }
      const answer = await call<{
        readonly apiVersion?: string;
        readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
        readonly items?: readonly T[] | null;
      }>({
        method: "GET",
        path: withQuery(path(resource, { namespace: listOptions.namespace }), query),
        timeoutMilliseconds: listTimeoutMilliseconds,
        ...(listOptions.signal === undefined ? {} : { signal: listOptions.signal }),
      });
      const apiVersion = answer.apiVersion ?? "";
      return {
        resourceVersion: answer.metadata?.resourceVersion ?? "",
        continueToken: answer.metadata?.continue === "" ? undefined : answer.metadata?.continue,
        // Items of built-in kinds come without their apiVersion and kind.
        items: (answer.items ?? []).map((item) =>
          rewriter.incoming({ ...item, apiVersion, kind: resource.kind }),
        ),
      };
    },
    watch: <T extends KubernetesObject>(
      resource: ResourceType<T>,
      watchOptions: WatchOptions,
    ): AsyncIterable<WatchEvent<T>> => {
      const query = selectionOf(watchOptions);
      query.set("watch", "true");
      query.set("allowWatchBookmarks", "true");
      query.set("timeoutSeconds", String(watchOptions.timeoutSeconds));
      const requestPath = withQuery(path(resource, { namespace: watchOptions.namespace }), query);
      return watchEvents<T>(requestPath, watchOptions.signal);
    },
    create: (resource, object, signal) =>
      write("POST", path(resource, { namespace: object.metadata.namespace }), object, true, signal),
    update: (resource, object, signal) => write("PUT", path(resource, keyOf(object)), object, true, signal),
    updateStatus: (resource, object, signal) =>
      write("PUT", path(resource, { ...keyOf(object), subresource: "status" }), object, false, signal),
    delete: async (resource, key, preconditions, signal) => {
      await call({
        method: "DELETE",
        path: path(resource, key),
        body: {
          kind: "DeleteOptions",
          apiVersion: "v1",
          ...(preconditions === undefined ? {} : { preconditions }),
        },
        ...(signal === undefined ? {} : { signal }),
      });
    },
    review: (resource, object, signal, target) =>
      write(
        "POST",
        target === undefined
          ? path(resource, { namespace: (object.metadata as { namespace?: string } | undefined)?.namespace })
          : path(resource, { ...target.key, subresource: target.subresource }),
        object,
        false,
        signal,
      ),
    close: () => caller.close(),
  };

  async function* watchEvents<T extends KubernetesObject>(
    requestPath: string,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<WatchEvent<T>, void, undefined> {
    const stream = await caller.stream(requestPath, signal);
    if (stream === undefined) {
      return;
    }
    try {
      for await (const frame of watchFrames(stream.chunks)) {
        yield eventOf<T>(frame);
      }
    } catch (error) {
      if (signal?.aborted === true) {
        return;
      }
      throw error;
    } finally {
      stream.end();
    }
  }

  function eventOf<T extends KubernetesObject>(frame: unknown): WatchEvent<T> {
    const { type, object } = (frame ?? {}) as { readonly type?: unknown; readonly object?: unknown };
    if (typeof object !== "object" || object === null) {
      throw new LanyardError({
        code: "kubernetes.watch.broken",
        message: "a watch sent an event without an object",
      });
    }
    switch (type) {
      case "ERROR":
        return { type, object: object as T };
      case "ADDED":
      case "MODIFIED":
      case "DELETED":
      case "BOOKMARK":
        if (typeof (object as Partial<T>).metadata !== "object") {
          throw new LanyardError({
            code: "kubernetes.watch.broken",
            message: "a watch sent an object without metadata",
          });
        }
        return { type, object: rewriter.incoming(object as T) };
      default:
        throw new LanyardError({
          code: "kubernetes.watch.broken",
          message: "a watch sent an event of unknown type",
        });
    }
  }
}

/** The error that an ERROR event of a watch stands for. */
export function errorOfEvent(event: WatchEvent<KubernetesObject>): KubernetesApiError {
  return new KubernetesApiError(event.object as unknown as Status);
}

function selectionOf(options: ListOptions | WatchOptions): URLSearchParams {
  const query = new URLSearchParams();
  for (const key of ["labelSelector", "fieldSelector", "resourceVersion"] as const) {
    const value = options[key];
    if (value !== undefined && value !== "") {
      query.set(key, value);
    }
  }
  return query;
}

function withQuery(requestPath: string, query: URLSearchParams): string {
  return query.size === 0 ? requestPath : `${requestPath}?${query.toString()}`;
}
