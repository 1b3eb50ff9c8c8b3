import type { Socket } from "node:net";
import { Agent } from "undici";
import { CommandError } from "../command-error.ts";
import type { CommandContext } from "../context.ts";
import { auditIdOf } from "./audit-id.ts";
import { createConnector } from "./connector.ts";
import { createFetch } from "./fetch.ts";
import type { HttpAnswer, HttpClient, HttpClientOptions, HttpRequest } from "./http-client.ts";
import { BodyError, networkError } from "./network-error.ts";
import { userAgent } from "./user-agent.ts";
import { showWarnings } from "./warnings.ts";

const MAXIMUM_BODY_BYTES = 4 * 1024 * 1024;

/**
 * Calls as contract cli.md chapters 1, 10 and 11 want them. A call that gets no answer rejects with a `CommandError` whose text is one
 * line in Go's words with a remedy; an answer of any status resolves.
 */
export function createHttpClient(context: CommandContext, options: HttpClientOptions): HttpClient {
  const agentName = userAgent(context);
  const connecting = new Set<Socket>();
  const closing = new AbortController();
  const agent = new Agent({
    allowH2: false,
    pipelining: 1,
    headersTimeout: 0,
    bodyTimeout: 0,
    maxHeaderSize: 1024 * 1024,
    connect: createConnector(context, options, agentName, connecting),
  });

  async function request(request: HttpRequest): Promise<HttpAnswer> {
    const url = new URL(request.url);
    const limit = limited(context, options.timeout, [
      context.signal,
      closing.signal,
      ...(request.signal === undefined ? [] : [request.signal]),
    ]);
    try {
      const answer = await send(agent, context, { ...request, url }, limit.signal, {
        "user-agent": agentName,
        ...lowerCase(options.headers),
        ...lowerCase(request.headers),
      });
      reportAuditId(context, options, url, answer);
      const warning = answer.headers["warning"];
      if (warning !== undefined && options.warnings !== "hidden") {
        showWarnings(context, warning);
      }
      return answer;
    } catch (error) {
      throw networkError(limit.reason() ?? error, { method: request.method, url, options });
    } finally {
      limit.end();
    }
  }

  return {
    request,
    fetch: createFetch(request),
    close: async () => {
      closing.abort();
      for (const socket of connecting) {
        socket.destroy();
      }
      await agent.destroy();
    },
  };
}

/** One signal for several and a time limit; `reason` is what to say when it was the signal that ended the call. */
function limited(
  context: Pick<CommandContext, "clock">,
  timeout: number,
  signals: readonly AbortSignal[],
): { readonly signal: AbortSignal; readonly reason: () => unknown; readonly end: () => void } {
  const controller = new AbortController();
  let reason: unknown;
  const abort = (name: string, code: string): void => {
    if (!controller.signal.aborted) {
      reason = Object.assign(new Error(code), { name, code });
      controller.abort(reason);
    }
  };
  const onAbort = (): void => {
    const isTimeout = signals.some(({ reason }) => reason instanceof Error && reason.name === "TimeoutError");
    abort(isTimeout ? "TimeoutError" : "AbortError", isTimeout ? "TIMEOUT" : "ABORT_ERR");
  };
  const stopTimer = context.clock.schedule(timeout, () => abort("TimeoutError", "TIMEOUT"));
  for (const signal of signals) {
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) {
      onAbort();
    }
  }
  return {
    signal: controller.signal,
    reason: () => reason,
    end: () => {
      stopTimer();
      for (const signal of signals) {
        signal.removeEventListener("abort", onAbort);
      }
    },
  };
}

function send(
  agent: Agent,
  context: Pick<CommandContext, "clock">,
  request: Omit<HttpRequest, "url"> & { readonly url: URL },
  signal: AbortSignal,
  headers: Readonly<Record<string, string>>,
): Promise<HttpAnswer> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason as Error);
      return;
    }
    let abortCall: ((reason: Error) => void) | undefined;
    const onAbort = (): void => {
      // Also while it still connects, when undici has nothing to abort yet.
      abortCall?.(signal.reason as Error);
      reject(signal.reason as Error);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    const settled = (): void => signal.removeEventListener("abort", onAbort);
    let sent = 0;
    let received = 0;
    let head: Pick<HttpAnswer, "status" | "statusLine" | "headers"> | undefined;
    const chunks: Buffer[] = [];
    let size = 0;
    agent.dispatch(
      {
        origin: request.url.origin,
        path: `${request.url.pathname}${request.url.search}`,
        method: request.method,
        headers,
        body: request.body ?? null,
      },
      {
        onRequestStart: (controller) => {
          sent = context.clock.now();
          if (signal.aborted) {
            controller.abort(signal.reason as Error);
          }
          abortCall = (reason) => controller.abort(reason);
        },
        onResponseStart: (_controller, status, answered, statusMessage) => {
          if (status >= 200) {
            received = context.clock.now();
            head = {
              status,
              statusLine: `${status} ${statusMessage ?? ""}`.trim(),
              headers: joined(answered),
            };
          }
        },
        onResponseData: (controller, chunk) => {
          size += chunk.length;
          if (size > MAXIMUM_BODY_BYTES) {
            controller.abort(new CommandError("cli.http.too-large", "the answer is larger than 4 MiB"));
          } else {
            chunks.push(chunk);
          }
        },
        onResponseEnd: () => {
          settled();
          if (head === undefined) {
            reject(Object.assign(new Error("no answer"), { code: "UND_ERR_SOCKET" }));
          } else {
            const body = Buffer.concat(chunks).toString("utf8");
            resolve({ ...head, body, ...timesOf(head.headers["date"], sent, received), ...auditIdOf(head) });
          }
        },
        onResponseError: (_controller, error) => {
          settled();
          reject(head === undefined ? error : new BodyError("the answer broke off", { cause: error }));
        },
      },
    );
  });
}

/** How far the server's clock is ahead, measured against the middle of the call without its connecting (contract cli.md 13.3). */
function timesOf(
  date: string | undefined,
  sent: number,
  received: number,
): Pick<HttpAnswer, "date" | "clockOffset"> {
  const time = date === undefined ? Number.NaN : Date.parse(date);
  return Number.isNaN(time) ? {} : { date: time, clockOffset: time - Math.round((sent + received) / 2) };
}

function joined(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name.toLowerCase(),
      Array.isArray(value) ? value.join(", ") : (value ?? ""),
    ]),
  );
}

function lowerCase(headers: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function reportAuditId(
  context: Pick<CommandContext, "log">,
  options: Pick<HttpClientOptions, "logAuditIds">,
  url: URL,
  answer: HttpAnswer,
): void {
  if (answer.auditId === undefined) {
    return;
  }
  const redirected = answer.status >= 300 && answer.status < 400;
  const failed = answer.status >= 400 || (redirected && hasErrorParameter(answer.headers["location"], url));
  if (failed || options.logAuditIds === "all") {
    context.log.info("Received auditID for failed request", {
      path: url.pathname,
      statusCode: answer.status,
      auditID: answer.auditId,
    });
  }
}

function hasErrorParameter(location: string | undefined, base: URL): boolean {
  return (
    location !== undefined &&
    URL.canParse(location, base.href) &&
    new URL(location, base).searchParams.has("error")
  );
}
