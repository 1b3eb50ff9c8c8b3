import type { Dispatcher } from "undici";
import { Agent, ProxyAgent, request } from "undici";
import type { Clock } from "../../clock.ts";
import { LanyardError } from "../../errors.ts";
import { goHttpErrorText } from "../../tls/go-errors.ts";
import { clientTlsOptions, tlsProfiles } from "../../tls/profiles.ts";
import type { TlsProfile } from "../../tls/profiles.ts";
import type { GoUrl } from "./go-url.ts";
import { fromByteString } from "../../go-text.ts";
import type { ProxyForUrl } from "./outbound-proxy.ts";

export interface OutboundHttpOptions {
  /** Replaces the system's roots completely; absent means them. */
  readonly caPem: string | undefined;
  /** Default: the Default profile of contract 8.1. */
  readonly profile?: TlsProfile | undefined;
  readonly proxyForUrl: ProxyForUrl;
  readonly clock: Clock;
  /** For a whole exchange with its redirects; default 30,000 (contract 4.4). */
  readonly timeoutMilliseconds?: number | undefined;
}

export interface OutboundRequest {
  readonly method: "GET" | "POST";
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** A longer answer is an error. */
  readonly maximumBytes: number;
  /** How many redirects are followed; a POST is never redirected. */
  readonly maximumRedirects?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface OutboundResponse {
  readonly status: number;
  /** As Go prints it, `404 Not Found`. */
  readonly statusLine: string;
  readonly contentType: string;
  readonly retryAfter: string | undefined;
  readonly body: Buffer;
}

/** Nothing usable came back; `message` reads as Go's, `Get "<url>": <reason>`; `cause` is the underlying error. */
export class OutboundError extends LanyardError {
  constructor(message: string, cause?: unknown) {
    super({ code: "outbound.failed", message, cause, httpStatus: 502 });
    this.name = "OutboundError";
  }
}

/** The way to one authenticator's servers: one certificate bundle, one TLS profile, a bounded time and size for every answer. */
export interface OutboundHttp {
  /** Throws `OutboundError`; any status is an answer. */
  send(message: OutboundRequest): Promise<OutboundResponse>;
  /** Lets running exchanges end, then closes the connections. */
  close(): void;
}

/** A URL for requests out of one that Go accepts; nothing when they would be understood to mean different hosts. */
export function requestUrl(url: GoUrl): URL | undefined {
  const host = fromByteString(url.host);
  if (url.scheme !== "https" || host === "" || /[\\/?#@\s]/.test(host)) {
    return undefined;
  }
  const text = `https://${host.replaceAll("%", "%25")}/`;
  if (!URL.canParse(text)) {
    return undefined;
  }
  const result = new URL(text);
  // Every byte that a path or a query may not hold is escaped; escapes that are there stay.
  const escape = (bytes: string): string =>
    bytes.replace(
      /[^\x21-\x7e]|["<>\\^`{|}#?]/g,
      (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
    );
  const query = url.rawQuery.split("?").map(escape).join("?");
  return new URL(
    `${result.origin}${url.rawPath === "" ? "/" : escape(url.rawPath)}${query === "" ? "" : `?${query}`}`,
  );
}

const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export function createOutboundHttp(options: OutboundHttpOptions): OutboundHttp {
  const { clock, proxyForUrl } = options;
  const timeoutMilliseconds = options.timeoutMilliseconds ?? 30_000;
  const dispatchers = new Map<string, Dispatcher>();
  const dispatcherFor = (url: URL): Dispatcher => {
    const decision = proxyForUrl(url);
    if (decision.error !== undefined) {
      throw new Error(decision.error);
    }
    const key = decision.proxy?.href ?? "";
    const dispatcher = dispatchers.get(key) ?? createDispatcher(decision.proxy, options, timeoutMilliseconds);
    dispatchers.set(key, dispatcher);
    return dispatcher;
  };

  const exchange = async (
    message: OutboundRequest,
    url: URL,
    signal: AbortSignal,
  ): Promise<OutboundResponse | URL> => {
    const crossed = url.origin !== message.url.origin;
    const answer = await request(url, {
      method: message.method,
      // A credential goes to the host it was meant for and no further.
      headers: crossed ? withoutAuthorization(message.headers) : { ...message.headers },
      body: message.body ?? null,
      dispatcher: dispatcherFor(url),
      signal,
    });
    const location = answer.headers["location"];
    if (message.method === "GET" && redirectStatuses.has(answer.statusCode) && typeof location === "string") {
      answer.body.on("error", () => {}).destroy();
      return redirectTarget(location, url);
    }
    const reason = answer.statusText;
    return {
      status: answer.statusCode,
      statusLine: `${answer.statusCode}${reason === "" ? "" : ` ${reason}`}`,
      contentType: single(answer.headers["content-type"]) ?? "",
      retryAfter: single(answer.headers["retry-after"]),
      body: await readBounded(answer.body, message.maximumBytes),
    };
  };

  return {
    send: async (message) => {
      const timeout = new AbortController();
      const cancelTimeout = clock.schedule(timeoutMilliseconds, () => {
        timeout.abort(new DOMException("the exchange took too long", "TimeoutError"));
      });
      const signal =
        message.signal === undefined ? timeout.signal : AbortSignal.any([message.signal, timeout.signal]);
      let url = message.url;
      try {
        for (let redirects = 0; ; redirects++) {
          const result = await exchange(message, url, signal);
          if (!(result instanceof URL)) {
            return result;
          }
          url = result;
          if (redirects >= (message.maximumRedirects ?? 10)) {
            throw new Error(`stopped after ${redirects} redirects`);
          }
        }
      } catch (error) {
        const target = {
          host: url.hostname.replace(/^\[|\]$/g, ""),
          port: Number(url.port) || 443,
          now: clock.now(),
        };
        throw new OutboundError(goHttpErrorText(error, message.method, url.href, target), error);
      } finally {
        cancelTimeout();
      }
    },
    close: () => {
      for (const dispatcher of dispatchers.values()) {
        // A dispatcher that was closed already, or whose server is gone, needs nothing more.
        dispatcher.close().catch(() => {});
      }
      dispatchers.clear();
    },
  };
}

function createDispatcher(proxy: URL | undefined, options: OutboundHttpOptions, timeout: number): Dispatcher {
  const tls = {
    ...clientTlsOptions(options.profile ?? tlsProfiles.defaultClient, { caPem: options.caPem }),
    // Go takes every certificate of the bundle as a root, an intermediate one too.
    allowPartialTrustChain: true,
    timeout,
    allowH2: false,
  };
  const limits = { headersTimeout: timeout, bodyTimeout: timeout, keepAliveTimeout: 30_000, allowH2: false };
  return proxy === undefined
    ? new Agent({ ...limits, connect: tls })
    : new ProxyAgent({ ...limits, uri: proxy.href, requestTls: tls, proxyTls: tls });
}

function redirectTarget(location: string, from: URL): URL {
  if (!URL.canParse(location, from.href)) {
    throw new Error("the server redirects to something that is not a URL");
  }
  const target = new URL(location, from);
  if (target.protocol !== "https:") {
    throw new Error("the server redirects to a URL without https");
  }
  target.username = "";
  target.password = "";
  target.hash = "";
  return target;
}

function withoutAuthorization(headers: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.toLowerCase() !== "authorization"),
  );
}

async function readBounded(body: AsyncIterable<unknown>, maximumBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    const bytes = chunk as Buffer;
    length += bytes.length;
    if (length > maximumBytes) {
      throw new Error(`the answer is longer than ${maximumBytes} bytes`);
    }
    chunks.push(bytes);
  }
  return Buffer.concat(chunks, length);
}

function single(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}
