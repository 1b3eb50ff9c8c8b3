import type { RequestHeaderConfiguration } from "../state/concierge-state.ts";

/** The names under which the front proxy speaks of users, lower case; empty when there is none. */
export type FrontProxyHeaders = Pick<
  RequestHeaderConfiguration,
  "usernameHeaders" | "uidHeaders" | "groupHeaders" | "extraHeaderPrefixes"
>;

/** Headers that say something about one hop only (RFC 9110 section 7.6.1), and lengths, which are written anew. */
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
  "content-length",
]);

/** What tells who somebody is, or where a request came from: the client's word for it never goes on. */
const IDENTITY = new Set(["authorization", "forwarded", "x-real-ip", "audit-id"]);
const IDENTITY_PREFIXES = ["impersonate-", "x-remote-", "x-forwarded-", "x-lanyard-"];

/** Whether a header of this lower-case name tells who somebody is. */
export function tellsIdentity(name: string, frontProxy: FrontProxyHeaders | undefined): boolean {
  if (IDENTITY.has(name)) {
    return true;
  }
  // First letters a, f, i and x are all there are, unless the front proxy's names are unusual.
  for (const prefix of IDENTITY_PREFIXES) {
    if (name.startsWith(prefix)) {
      return true;
    }
  }
  return (
    frontProxy !== undefined &&
    (frontProxy.usernameHeaders.includes(name) ||
      frontProxy.uidHeaders.includes(name) ||
      frontProxy.groupHeaders.includes(name) ||
      frontProxy.extraHeaderPrefixes.some((prefix) => name.startsWith(prefix)))
  );
}

/** All that `Connection` names, lower case. */
export function connectionOptions(rawHeaders: readonly string[]): string[] {
  let options: string[] = [];
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? "";
    if (name.length === 10 && name.toLowerCase() === "connection") {
      options = options.concat(
        (rawHeaders[index + 1] ?? "")
          .toLowerCase()
          .split(",")
          .map((option) => option.trim())
          .filter((option) => option !== ""),
      );
    }
  }
  return options;
}

const BEARER_PROTOCOL = "base64url.bearer.authorization.k8s.io.";

/** The protocols without a bearer token (S13). */
function protocolsWithoutBearer(value: string): string {
  return value.toLowerCase().includes(BEARER_PROTOCOL)
    ? value
        .split(",")
        .map((protocol) => protocol.trim())
        .filter((protocol) => !protocol.toLowerCase().startsWith(BEARER_PROTOCOL))
        .join(", ")
    : value;
}

export interface OutgoingRequest {
  readonly rawHeaders: readonly string[];
  readonly frontProxy: FrontProxyHeaders | undefined;
  readonly clientAddress: string | undefined;
  readonly identityHeaders: readonly string[];
  readonly auditID: string;
  readonly marksExchange: boolean;
}

/**
 * The headers that go to the kube-apiserver (engineering.md 4.3.1), without framing: what is of one hop is taken out, then
 * everything that tells who somebody is, and only then our identity headers are put in, so that nothing in the request can
 * take them out again (CVE-2021-31999).
 */
export function outgoingRequestHeaders(request: OutgoingRequest): string[] {
  const { rawHeaders, frontProxy } = request;
  const named = connectionOptions(rawHeaders);
  const headers: string[] = [];
  let cookie: string | undefined;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? "";
    const value = rawHeaders[index + 1] ?? "";
    const lower = name.toLowerCase();
    if (
      HOP_BY_HOP.has(lower) ||
      lower.startsWith("proxy-") ||
      named.includes(lower) ||
      tellsIdentity(lower, frontProxy)
    ) {
      if (lower === "te" && value.trim().toLowerCase() === "trailers") {
        headers.push("TE", "trailers");
      }
      continue;
    }
    if (lower === "sec-websocket-protocol") {
      const protocols = protocolsWithoutBearer(value);
      if (protocols !== "") {
        headers.push(name, protocols);
      }
    } else if (lower === "cookie") {
      // HTTP/2 may split it, HTTP/1.1 must not (RFC 9113 section 8.2.3).
      cookie = cookie === undefined ? value : `${cookie}; ${value}`;
    } else {
      headers.push(name, value);
    }
  }
  if (cookie !== undefined) {
    headers.push("Cookie", cookie);
  }
  if (request.clientAddress !== undefined) {
    headers.push("X-Forwarded-For", request.clientAddress);
  }
  headers.push("Audit-ID", request.auditID);
  if (request.marksExchange) {
    headers.push("X-Lanyard-Through-Proxy", "true");
  }
  for (const part of request.identityHeaders) {
    headers.push(part);
  }
  return headers;
}

/** On every response (contract 7.7), next to the kube-apiserver's own. */
const SECURITY_HEADERS = [
  "Content-Security-Policy",
  "default-src 'none'; frame-ancestors 'none'",
  "X-Frame-Options",
  "DENY",
  "X-XSS-Protection",
  "1; mode=block",
  "X-Content-Type-Options",
  "nosniff",
  "Referrer-Policy",
  "no-referrer",
  "X-DNS-Prefetch-Control",
  "off",
  "Cache-Control",
  "no-cache,no-store,max-age=0,must-revalidate",
  "Pragma",
  "no-cache",
  "Expires",
  "0",
];

/** The headers of an answer that the proxy gives itself. */
export function ownResponseHeaders(auditID: string, headers: readonly string[]): string[] {
  return [...SECURITY_HEADERS, "Audit-Id", auditID, "Date", httpDate(), ...headers];
}

let date = "";
let dateSecond = 0;

/** `Date` has whole seconds, so it is made once per second. */
function httpDate(): string {
  const now = new Date();
  const second = Math.floor(now.getTime() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    date = now.toUTCString();
  }
  return date;
}

/** The kube-apiserver's headers without those of its hop, with ours added; `length` when the body's is known. */
export function outgoingResponseHeaders(
  headers: readonly string[],
  auditID: string,
  length: number | undefined,
  request: { readonly head: boolean; readonly status: number },
): string[] {
  const outgoing = SECURITY_HEADERS.slice();
  outgoing.push("Audit-Id", auditID);
  let named: string[] | undefined;
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] ?? "";
    const lower = name.toLowerCase();
    const value = headers[index + 1] ?? "";
    if (lower === "content-length") {
      // For HEAD and 304 it is the length of what is not sent.
      if (length !== undefined && (length > 0 || request.head || request.status === 304)) {
        outgoing.push("Content-Length", value);
      }
    } else if (lower === "connection") {
      named = connectionOptions(headers);
    } else if (
      lower === "trailer" ||
      (lower !== "audit-id" && !HOP_BY_HOP.has(lower) && !lower.startsWith("proxy-"))
    ) {
      outgoing.push(name, value);
    }
  }
  if (length === 0 && !request.head && request.status !== 204 && request.status !== 304) {
    outgoing.push("Content-Length", "0");
  }
  return named === undefined ? outgoing : withoutNamed(outgoing, named);
}

function withoutNamed(headers: readonly string[], named: readonly string[]): string[] {
  const kept: string[] = [];
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] ?? "";
    // Ours are not the kube-apiserver's to take out.
    if (index < SECURITY_HEADERS.length + 2 || !named.includes(name.toLowerCase())) {
      kept.push(name, headers[index + 1] ?? "");
    }
  }
  return kept;
}
