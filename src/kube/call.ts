import type { Readable } from "node:stream";
import { setImmediate } from "node:timers/promises";

import type { Clock } from "../clock.ts";
import { LanyardError, messageOf } from "../errors.ts";
import type { Logger } from "../telemetry/log.ts";
import { KubernetesApiError } from "./api-error.ts";
import type { KubernetesEndpoint } from "./configuration.ts";
import type { KubernetesRequest, KubernetesResponse } from "./kubernetes-client.ts";
import { apiErrorOf } from "./status-response.ts";
import { createTextSource } from "./text-source.ts";
import {
  createTransport,
  type ConnectionPool,
  type KubernetesClientMetrics,
  type TransportRequest,
  type TransportResponse,
} from "./transport.ts";

/** Calls with a credential, a time limit and a size limit. */
export interface Caller {
  readonly host: string;
  call(request: KubernetesRequest): Promise<KubernetesResponse>;
  /** A watch's bytes; nothing when `signal` aborted before there was an answer. */
  stream(path: string, signal: AbortSignal | undefined): Promise<ByteStream | undefined>;
  close(): Promise<void>;
}

export interface ByteStream {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Must be called, however the reading ended. */
  end(): void;
}

export interface CallerOptions {
  readonly endpoint: KubernetesEndpoint;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: KubernetesClientMetrics | undefined;
  readonly userAgent: string;
  readonly maximumResponseBytes: number;
  readonly shortConnections: number;
}

const defaultTimeoutMilliseconds = 10_000;
const watchHeadersTimeoutMilliseconds = 30_000;

/** What a connection dies of when the peer closed it while it was idle (engineering.md R2). */
const resetCodes = new Set(["UND_ERR_SOCKET", "ECONNRESET", "EPIPE"]);

export function createCaller(options: CallerOptions): Caller {
  const { endpoint, clock, metrics, userAgent, maximumResponseBytes } = options;
  const transport = createTransport(options);
  const token = endpoint.token === undefined ? undefined : createTextSource(endpoint.token, { clock });
  const closing = new AbortController();

  async function authorization(): Promise<string | undefined> {
    const value = (await token?.read())?.trim();
    return value === undefined || value === "" ? undefined : `Bearer ${value}`;
  }

  async function sendRetryingReset(request: TransportRequest): Promise<TransportResponse> {
    try {
      return await transport.send(request);
    } catch (error) {
      if (request.method !== "GET" || request.signal.aborted || !resetCodes.has(codeOf(error))) {
        throw error;
      }
      return transport.send(request);
    }
  }

  async function sendAuthenticated(request: TransportRequest): Promise<TransportResponse> {
    if ("authorization" in request.headers) {
      return sendRetryingReset(request);
    }
    const withToken = (value: string | undefined): TransportRequest =>
      value === undefined ? request : { ...request, headers: { ...request.headers, authorization: value } };
    const first = await authorization();
    const response = await sendRetryingReset(withToken(first));
    if (response.status !== 401 || token === undefined) {
      return response;
    }
    // The kubelet may have renewed the token since it was read.
    token.expire();
    const second = await authorization();
    if (second === first) {
      return response;
    }
    response.body.on("error", () => {}).destroy();
    return sendRetryingReset(withToken(second));
  }

  /** Runs `work` under a signal that fires on the caller's abort, on `close` and when `milliseconds` are over. */
  async function limited<T>(
    scope: { readonly pool: ConnectionPool; readonly method: string },
    milliseconds: number,
    outer: AbortSignal | undefined,
    work: (limit: { readonly signal: AbortSignal; readonly stopTimer: () => void }) => Promise<T>,
    statusOf: (result: T) => number,
  ): Promise<T> {
    const controller = new AbortController();
    let cause: "aborted" | "timeout" | undefined;
    const abort = (why: "aborted" | "timeout"): void => {
      cause ??= why;
      controller.abort();
    };
    const onAbort = (): void => abort("aborted");
    outer?.addEventListener("abort", onAbort, { once: true });
    closing.signal.addEventListener("abort", onAbort, { once: true });
    const stopTimer = clock.schedule(milliseconds, () => abort("timeout"));
    const started = clock.now();
    let status = 0;
    metrics?.inFlight(scope.pool, 1);
    try {
      if (outer?.aborted === true || closing.signal.aborted) {
        abort("aborted");
        throw new Error("aborted");
      }
      const result = await work({ signal: controller.signal, stopTimer });
      status = statusOf(result);
      return result;
    } catch (error) {
      if (error instanceof LanyardError) {
        status = error instanceof KubernetesApiError ? error.httpStatus : 0;
        throw error;
      }
      if (cause === undefined) {
        transport.expireMaterial();
      }
      throw noAnswer(error, cause, milliseconds);
    } finally {
      stopTimer();
      outer?.removeEventListener("abort", onAbort);
      closing.signal.removeEventListener("abort", onAbort);
      metrics?.inFlight(scope.pool, -1);
      metrics?.ended(scope.pool, scope.method, status, (clock.now() - started) / 1000);
    }
  }

  function noAnswer(
    error: unknown,
    cause: "aborted" | "timeout" | undefined,
    milliseconds: number,
  ): LanyardError {
    if (cause === "aborted") {
      return new LanyardError({
        code: "kubernetes.aborted",
        message: "the call was ended by its caller",
        cause: error,
      });
    }
    return new LanyardError({
      code: "kubernetes.unreachable",
      message:
        cause === "timeout"
          ? `no answer from the API server at ${transport.host} within ${milliseconds} ms`
          : `cannot reach the API server at ${transport.host}: ${reasonOf(error)}`,
      publicMessage: "the Kubernetes API server cannot be reached",
      httpStatus: 503,
      cause: error,
    });
  }

  async function text(body: Readable): Promise<string> {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maximumResponseBytes) {
        throw new LanyardError({
          code: "kubernetes.response.too-large",
          message: `the API server at ${transport.host} sent more than ${maximumResponseBytes} bytes`,
        });
      }
      chunks.push(chunk);
    }
    // undici takes a connection back a turn of the event loop after its answer; a caller that goes on at once would
    // open another one.
    await setImmediate();
    return Buffer.concat(chunks).toString("utf8");
  }

  const toResponse = async (response: TransportResponse): Promise<KubernetesResponse> => ({
    status: response.status,
    headers: response.headers,
    text: await text(response.body),
  });

  const headersOf = (request: KubernetesRequest): Record<string, string> => {
    const headers: Record<string, string> = { accept: "application/json", "user-agent": userAgent };
    if (request.body !== undefined) {
      headers["content-type"] = "application/json";
    }
    for (const [name, value] of Object.entries(request.headers ?? {})) {
      headers[name.toLowerCase()] = value;
    }
    return headers;
  };

  return {
    host: transport.host,
    call: (request) =>
      limited(
        { pool: "short", method: request.method },
        request.timeoutMilliseconds ?? defaultTimeoutMilliseconds,
        request.signal,
        async ({ signal }) =>
          toResponse(
            await sendAuthenticated({
              pool: "short",
              method: request.method,
              path: request.path,
              headers: headersOf(request),
              body: request.body === undefined ? undefined : JSON.stringify(request.body),
              signal,
            }),
          ),
        (response) => response.status,
      ),
    stream: async (path, outer) => {
      const ending = new AbortController();
      const end = (): void => {
        outer?.removeEventListener("abort", end);
        closing.signal.removeEventListener("abort", end);
        ending.abort();
      };
      if (outer?.aborted === true || closing.signal.aborted) {
        return undefined;
      }
      outer?.addEventListener("abort", end, { once: true });
      closing.signal.addEventListener("abort", end, { once: true });
      try {
        const response = await limited(
          { pool: "watch", method: "WATCH" },
          watchHeadersTimeoutMilliseconds,
          undefined,
          async ({ signal, stopTimer }) => {
            const forward = (): void => ending.abort();
            signal.addEventListener("abort", forward, { once: true });
            const answer = await sendAuthenticated({
              pool: "watch",
              method: "GET",
              path,
              headers: { accept: "application/json", "user-agent": userAgent },
              body: undefined,
              signal: ending.signal,
            });
            if (answer.status !== 200) {
              // A refusal's body is still under the time limit.
              throw apiErrorOf(await toResponse(answer), clock);
            }
            stopTimer();
            signal.removeEventListener("abort", forward);
            return answer;
          },
          (answer) => answer.status,
        );
        return { chunks: translated(response.body), end };
      } catch (error) {
        end();
        if (isAborted(outer)) {
          return undefined;
        }
        throw error;
      }
    },
    close: async () => {
      closing.abort();
      await transport.close();
    },
  };

  /** Gives errors of the stream itself their code. */
  async function* translated(body: Readable): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* body as AsyncIterable<Uint8Array>;
    } catch (error) {
      throw noAnswer(error, closing.signal.aborted ? "aborted" : undefined, 0);
    }
  }
}

/** A function, as the compiler believes that a signal stays as it was last seen. */
function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

/** undici joins the attempts on several addresses in an AggregateError whose own message is empty. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) {
    return [...new Set(error.errors.map(messageOf))].join("; ");
  }
  return messageOf(error);
}
