import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";

/** Whom a connection was for, and what is known about it. */
export interface NetworkTarget {
  /** Host name or address as configured, without brackets. */
  readonly host: string;
  readonly port: number;
  /** The address that was dialled, if it is known better than the error tells. */
  readonly address?: string | undefined;
  /** The certificate that the peer showed; needed for the dates of an expired one. */
  readonly peerCertificate?: X509Certificate | undefined;
  /** Milliseconds since the Unix epoch; needed for the same text. */
  readonly now?: number | undefined;
}

const UNKNOWN_AUTHORITY = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_GET_ISSUER_CERT",
  "CERT_UNTRUSTED",
  "CERT_SIGNATURE_FAILURE",
  "INVALID_CA",
]);

/** What Go prints for a failed system call (`syscall.Errno`), and the call in which a dial or a connection meets it. */
const SYSTEM_CALLS: Readonly<
  Record<string, { readonly text: string; readonly call: "connect" | "read" | "write" }>
> = {
  ECONNREFUSED: { text: "connection refused", call: "connect" },
  ETIMEDOUT: { text: "connection timed out", call: "connect" },
  EHOSTUNREACH: { text: "no route to host", call: "connect" },
  ENETUNREACH: { text: "network is unreachable", call: "connect" },
  EADDRNOTAVAIL: { text: "cannot assign requested address", call: "connect" },
  EACCES: { text: "permission denied", call: "connect" },
  EPERM: { text: "operation not permitted", call: "connect" },
  ECONNRESET: { text: "connection reset by peer", call: "read" },
  EPIPE: { text: "broken pipe", call: "write" },
};

const FIXED_TEXTS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: "tls: failed to verify certificate: x509: certificate has expired or is not yet valid",
  CERT_NOT_YET_VALID: "tls: failed to verify certificate: x509: certificate has expired or is not yet valid",
  INVALID_PURPOSE: "tls: failed to verify certificate: x509: certificate specifies an incompatible key usage",
  CERT_CHAIN_TOO_LONG: "tls: failed to verify certificate: x509: certificate signed by unknown authority",
  PATH_LENGTH_EXCEEDED:
    "tls: failed to verify certificate: x509: too many intermediates for path length constraint",
  ERR_SSL_WRONG_VERSION_NUMBER: "tls: first record does not look like a TLS handshake",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "tls: first record does not look like a TLS handshake",
  ERR_SSL_UNSUPPORTED_PROTOCOL: "tls: server selected unsupported protocol version",
  UND_ERR_HEADERS_TIMEOUT: "net/http: timeout awaiting response headers",
  UND_ERR_SOCKET: "EOF",
  UND_ERR_ABORTED: "context canceled",
  ABORT_ERR: "context canceled",
};

/** Go's names of TLS alerts (`crypto/tls` alert.go), by the ending of OpenSSL's error code. */
const ALERTS: Readonly<Record<string, string>> = {
  HANDSHAKE_FAILURE: "handshake failure",
  PROTOCOL_VERSION: "protocol version not supported",
  INSUFFICIENT_SECURITY: "insufficient security level",
  INTERNAL_ERROR: "internal error",
  UNEXPECTED_MESSAGE: "unexpected message",
  UNEXPECTED_MSG: "unexpected message",
  UNRECOGNIZED_NAME: "unrecognized name",
  BAD_CERTIFICATE: "bad certificate",
  CERTIFICATE_UNKNOWN: "unknown certificate",
  CERTIFICATE_EXPIRED: "expired certificate",
  CERTIFICATE_REVOKED: "revoked certificate",
  CERTIFICATE_REQUIRED: "certificate required",
  UNSUPPORTED_CERTIFICATE: "unsupported certificate",
  UNKNOWN_CA: "unknown certificate authority",
  ACCESS_DENIED: "access denied",
  DECODE_ERROR: "error decoding message",
  DECRYPT_ERROR: "error decrypting message",
  ILLEGAL_PARAMETER: "illegal parameter",
  BAD_RECORD_MAC: "bad record MAC",
  RECORD_OVERFLOW: "record overflow",
  NO_APPLICATION_PROTOCOL: "no application protocol",
};

interface ErrorFacts {
  readonly code?: unknown;
  readonly name?: unknown;
  readonly message?: unknown;
  readonly cause?: unknown;
  readonly errors?: unknown;
  readonly address?: unknown;
  readonly port?: unknown;
  readonly host?: unknown;
  readonly hostname?: unknown;
  readonly cert?: unknown;
  readonly syscall?: unknown;
}

/**
 * The text that a Go program would show for a failed dial, TLS handshake or exchange: conditions carry these texts by
 * contract (4.3, 4.4, 4.6). An error that is none of the known ones keeps its own message.
 */
export function goNetworkErrorText(error: unknown, target: NetworkTarget): string {
  const facts = telling(error);
  const code = typeof facts.code === "string" ? facts.code : "";
  if (UNKNOWN_AUTHORITY.has(code)) {
    return "tls: failed to verify certificate: x509: certificate signed by unknown authority";
  }
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") {
    return `${FIXED_TEXTS[code] ?? ""}${validityDetail(target)}`;
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return `tls: failed to verify certificate: ${hostnameText(facts, target)}`;
  }
  if (code === "ENOTFOUND" || code === "EAI_NONAME" || code === "EAI_NODATA") {
    return `dial tcp: lookup ${target.host}: no such host`;
  }
  if (code.startsWith("EAI_")) {
    return `dial tcp: lookup ${target.host}: Temporary failure in name resolution`;
  }
  if (code === "UND_ERR_CONNECT_TIMEOUT") {
    return `dial tcp ${remoteAddress(facts, target)}: i/o timeout`;
  }
  if (facts.name === "TimeoutError") {
    return "context deadline exceeded";
  }
  if (code === "ECONNRESET" && facts.syscall === undefined) {
    // Node's own words for a peer that closes before the handshake or the answer is complete; no system call failed.
    return "EOF";
  }
  const fixed = Object.hasOwn(FIXED_TEXTS, code) ? FIXED_TEXTS[code] : undefined;
  return fixed ?? systemCallText(code, facts, target) ?? alertText(code) ?? ownMessage(facts);
}

/** The same as `net/http` wraps it: `Get "<url>": <text>`. */
export function goHttpErrorText(error: unknown, method: string, url: string, target: NetworkTarget): string {
  const text = goNetworkErrorText(error, target);
  const verb = `${method.slice(0, 1).toUpperCase()}${method.slice(1).toLowerCase()}`;
  const detail =
    text === "context deadline exceeded"
      ? "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
      : text;
  return `${verb} "${url}": ${detail}`;
}

/** The error that says what happened: behind wrappers (`cause`), and of several addresses the first one tried. */
function telling(error: unknown): ErrorFacts {
  let facts: ErrorFacts = typeof error === "object" && error !== null ? error : { message: String(error) };
  for (let depth = 0; depth < 8; depth++) {
    const inner: unknown = Array.isArray(facts.errors) ? facts.errors[0] : undefined;
    const next = inner ?? (facts.code === undefined ? facts.cause : undefined);
    if (typeof next !== "object" || next === null) {
      break;
    }
    facts = next;
  }
  return facts;
}

function ownMessage(facts: ErrorFacts): string {
  return typeof facts.message === "string" && facts.message !== "" ? facts.message : "unknown error";
}

function remoteAddress(facts: ErrorFacts, target: NetworkTarget): string {
  const known = typeof facts.address === "string" ? facts.address : target.host;
  const address = target.address ?? known;
  return `${isIP(address) === 6 ? `[${address}]` : address}:${target.port}`;
}

function systemCallText(code: string, facts: ErrorFacts, target: NetworkTarget): string | undefined {
  const known = Object.hasOwn(SYSTEM_CALLS, code) ? SYSTEM_CALLS[code] : undefined;
  if (known === undefined) {
    return undefined;
  }
  const call = facts.syscall === "read" || facts.syscall === "write" ? facts.syscall : known.call;
  const operation = call === "connect" ? "dial" : call;
  return `${operation} tcp ${remoteAddress(facts, target)}: ${call}: ${known.text}`;
}

function alertText(code: string): string | undefined {
  // OpenSSL prefixes the alert with the protocol that it first occurred in, and spells that differently across versions.
  const ending = /^ERR_SSL_(?:SSLV3|SSL\/TLS|TLSV1|TLSV13|TLS)_(?:ALERT_)?(.+)$/.exec(code)?.[1];
  const alert = ending !== undefined && Object.hasOwn(ALERTS, ending) ? ALERTS[ending] : undefined;
  return alert === undefined ? undefined : `remote error: tls: ${alert}`;
}

function validityDetail({ peerCertificate, now }: NetworkTarget): string {
  if (peerCertificate === undefined || now === undefined) {
    return "";
  }
  const early = now < peerCertificate.validFromDate.getTime();
  const bound = early ? peerCertificate.validFromDate : peerCertificate.validToDate;
  return `: current time ${rfc3339(new Date(now))} is ${early ? "before" : "after"} ${rfc3339(bound)}`;
}

function rfc3339(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}

const MAXIMUM_NAMES = 100;

/** Go's `x509.HostnameError`. */
function hostnameText(facts: ErrorFacts, target: NetworkTarget): string {
  const host = typeof facts.host === "string" ? facts.host : target.host;
  const { dnsNames, ipAddresses, hasAlternativeName, commonName } = namesOf(
    facts.cert,
    target.peerCertificate,
  );
  if (!hasAlternativeName && commonName !== undefined && commonName.toLowerCase() === host.toLowerCase()) {
    return "x509: certificate relies on legacy Common Name field, use SANs instead";
  }
  const forAddress = isIP(host) !== 0;
  const names = forAddress ? ipAddresses : dnsNames;
  if (forAddress && names.length === 0) {
    return `x509: cannot validate certificate for ${host} because it doesn't contain any IP SANs`;
  }
  if (names.length >= MAXIMUM_NAMES) {
    return `x509: certificate is valid for ${names.length} ${forAddress ? "IP SANs" : "names"}, but none matched ${host}`;
  }
  return names.length === 0
    ? `x509: certificate is not valid for any names, but wanted to match ${host}`
    : `x509: certificate is valid for ${names.join(", ")}, not ${host}`;
}

interface CertificateNames {
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly hasAlternativeName: boolean;
  readonly commonName: string | undefined;
}

/** The names in a certificate, from Node's printed form: for messages only, never for a decision (T11). */
function namesOf(legacy: unknown, peer: X509Certificate | undefined): CertificateNames {
  const { raw } = (typeof legacy === "object" && legacy !== null ? legacy : {}) as { readonly raw?: unknown };
  const certificate = raw instanceof Uint8Array ? new X509Certificate(raw) : peer;
  const parts = certificate?.subjectAltName?.split(", ") ?? [];
  const valuesOf = (prefix: string): string[] =>
    parts.filter((part) => part.startsWith(prefix)).map((part) => part.slice(prefix.length));
  return {
    dnsNames: valuesOf("DNS:"),
    ipAddresses: valuesOf("IP Address:").map(shortAddress),
    hasAlternativeName: certificate?.subjectAltName !== undefined,
    commonName: certificate === undefined ? undefined : /^CN=(.*)$/m.exec(certificate.subject)?.[1],
  };
}

/** The canonical text of an address; Node prints IPv6 without abbreviating it. */
function shortAddress(address: string): string {
  return isIP(address) === 6 ? new URL(`http://[${address}]`).hostname.slice(1, -1) : address;
}
