import { posix } from "node:path";
import { connect } from "node:tls";
import { isIP } from "node:net";
import type { Clock } from "../../clock.ts";
import { LanyardError } from "../../errors.ts";
import type { ConditionFinding } from "../../kube/conditions.ts";
import { goNetworkErrorText } from "../../tls/go-errors.ts";
import { clientTlsOptions, tlsProfiles } from "../../tls/profiles.ts";
import type { TlsProfile } from "../../tls/profiles.ts";
import { parseEndpointAddress } from "../../endpoint-address.ts";
import { fromByteString, goQuote } from "../../go-text.ts";
import { parseGoUrl } from "./go-url.ts";
import { requestUrl } from "./outbound-http.ts";
import type { ProxyForUrl } from "./outbound-proxy.ts";

/** Where a webhook is, out of `spec.endpoint`. */
export interface WebhookEndpoint {
  /** For TokenReviews: path without trailing `/`, query `timeout=30s` (contract 4.6). */
  readonly url: URL;
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  readonly proxied: boolean;
}

export interface EndpointCheck {
  /** The condition `EndpointURLValid`. */
  readonly finding: ConditionFinding;
  /** Present exactly when the condition is True. */
  readonly endpoint: WebhookEndpoint | undefined;
}

/** Reads `spec.endpoint`; the first rule that fails decides (contract 4.6). */
export function checkEndpointUrl(endpoint: string, proxyForUrl: ProxyForUrl): EndpointCheck {
  const parsed = parseGoUrl(endpoint);
  if (parsed.url === undefined) {
    return refusal("InvalidEndpointURL", `spec.endpoint URL cannot be parsed: ${parsed.error}`);
  }
  if (parsed.url.scheme !== "https") {
    return refusal(
      "InvalidEndpointURLScheme",
      `spec.endpoint URL ${endpoint} has invalid scheme, require 'https'`,
    );
  }
  const hostText = fromByteString(parsed.url.host);
  const address = parseEndpointAddress(hostText.replace(/^\[(.*)\]$/, "$1"), 443);
  const url = requestUrl({ ...parsed.url, rawPath: reviewPath(parsed.url.path), rawQuery: "timeout=30s" });
  if (address.error !== undefined || url === undefined) {
    const reason = address.error ?? `host ${goQuote(hostText)} is not a valid hostname or IP address`;
    return refusal("InvalidEndpointURL", `spec.endpoint URL is not valid: ${reason}`);
  }
  const decision = proxyForUrl(url);
  if (decision.error !== undefined) {
    return refusal(
      "InvalidEndpointCannotDetermineProxy",
      `spec.endpoint URL error: could not determine if requests will be proxied for host ${goQuote(hostText)}: ${decision.error}`,
    );
  }
  return {
    finding: {
      type: "EndpointURLValid",
      status: "True",
      reason: "Success",
      message: "spec.endpoint is a valid URL",
    },
    endpoint: { url, host: address.host, port: address.port, proxied: decision.proxy !== undefined },
  };
}

function refusal(reason: string, message: string): EndpointCheck {
  return { finding: { type: "EndpointURLValid", status: "False", reason, message }, endpoint: undefined };
}

/** Cleaned as Go's `path.Join` does, then escaped again as Go's `URL.EscapedPath`; a byte string in and out. */
function reviewPath(path: string): string {
  const cleaned = posix.normalize(`/${path}`).replace(/(.)\/$/, "$1");
  return cleaned.replace(
    /[^A-Za-z0-9\-_.~$&+,/:;=@]/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
}

export interface ProbeOptions {
  readonly host: string;
  readonly port: number;
  readonly caPem: string | undefined;
  readonly profile?: TlsProfile | undefined;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Default 30,000. */
  readonly timeoutMilliseconds?: number | undefined;
}

/** A full TLS handshake with name check and no HTTP (contract 4.6). Throws with Go's text of what failed. */
export async function probeTlsServer(options: ProbeOptions): Promise<void> {
  const { host, port, clock, signal } = options;
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({
    ...clientTlsOptions(options.profile ?? tlsProfiles.defaultClient, { caPem: options.caPem }),
    // Go takes every certificate of the bundle as a root, an intermediate one too.
    allowPartialTrustChain: true,
    host,
    port,
    ALPNProtocols: ["http/1.1"],
    ...(isIP(host) === 0 ? { servername: host } : {}),
  });
  const cancelTimeout = clock.schedule(options.timeoutMilliseconds ?? 30_000, () => {
    reject(new DOMException("the handshake took too long", "TimeoutError"));
  });
  const abort = (): void => reject(signal.reason as Error);
  signal.addEventListener("abort", abort, { once: true });
  socket.once("secureConnect", () => resolve());
  socket.on("error", reject);
  socket.once("close", () => reject(Object.assign(new Error("socket hang up"), { code: "ECONNRESET" })));
  try {
    await promise;
  } catch (error) {
    signal.throwIfAborted();
    const message = goNetworkErrorText(error, { host, port, now: clock.now() });
    throw new LanyardError({ code: "webhook.unreachable", message, cause: error, httpStatus: 502 });
  } finally {
    cancelTimeout();
    signal.removeEventListener("abort", abort);
    socket.destroy();
  }
}
