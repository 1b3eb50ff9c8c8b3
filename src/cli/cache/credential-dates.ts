import type { ClusterCredential } from "./credential.ts";

/** When a credential is good by its own statement, milliseconds since the epoch on its issuer's clock. */
export interface CredentialDates {
  /** A certificate's NotBefore, a token's `iat`. */
  readonly from?: number;
  /** A certificate's NotAfter, a token's `exp`. */
  readonly until: number;
}

/**
 * The dates inside of the first certificate, or of the token if it is a JWT; nothing is verified, as this only decides when to ask
 * for another one. undefined: it does not tell.
 */
export function credentialDates(credential: ClusterCredential): CredentialDates | undefined {
  if (credential.clientCertificateData !== undefined) {
    return certificateDates(credential.clientCertificateData);
  }
  return credential.token === undefined ? undefined : tokenDates(credential.token);
}

const BEGIN = "-----BEGIN CERTIFICATE-----";
const END = "-----END CERTIFICATE-----";
const SEQUENCE = 0x30;
const EXPLICIT_VERSION = 0xa0;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;

/** NotBefore and NotAfter of the first certificate in a PEM text (RFC 5280 section 4.1). `X509Certificate` would load OpenSSL's part of Node for 20 bytes. */
export function certificateDates(pem: string): CredentialDates | undefined {
  const begin = pem.indexOf(BEGIN);
  const end = pem.indexOf(END, begin);
  if (begin === -1 || end === -1) {
    return undefined;
  }
  const der = Buffer.from(pem.slice(begin + BEGIN.length, end), "base64");
  const certificate = element(der, 0, SEQUENCE);
  const body = certificate && element(der, certificate.start, SEQUENCE);
  if (body === undefined) {
    return undefined;
  }
  let position = body.start;
  // Version (where there is one), serial number, signature algorithm and issuer come before the validity.
  for (let skipped = der[position] === EXPLICIT_VERSION ? 0 : 1; skipped < 4; skipped++) {
    const next = element(der, position);
    if (next === undefined) {
      return undefined;
    }
    position = next.end;
  }
  const validity = element(der, position, SEQUENCE);
  const notBefore = validity && element(der, validity.start);
  const notAfter = notBefore && element(der, notBefore.end);
  const from = notBefore && timeOf(der, notBefore);
  const until = notAfter && timeOf(der, notAfter);
  return from === undefined || until === undefined ? undefined : { from, until };
}

interface DerSpan {
  readonly tag: number;
  /** Where the contents begin and end. */
  readonly start: number;
  readonly end: number;
}

function element(der: Buffer, offset: number, tag?: number): DerSpan | undefined {
  const found = der[offset];
  const first = der[offset + 1];
  if (found === undefined || first === undefined || (tag !== undefined && found !== tag)) {
    return undefined;
  }
  const size = first < 0x80 ? 0 : first & 0x7f;
  const start = offset + 2 + size;
  if (size > 4 || start > der.length || (first >= 0x80 && size === 0)) {
    return undefined;
  }
  const end = start + (size === 0 ? first : der.readUIntBE(offset + 2, size));
  return end > der.length ? undefined : { tag: found, start, end };
}

function timeOf(der: Buffer, { tag, start, end }: DerSpan): number | undefined {
  let text = der.toString("latin1", start, end);
  if (tag === UTC_TIME) {
    text = (text < "50" ? "20" : "19") + text;
  } else if (tag !== GENERALIZED_TIME) {
    return undefined;
  }
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (match === null) {
    return undefined;
  }
  const [, year, month, day, hour, minute, second] = match;
  return timestamp(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

/** `exp` and `iat` of a JWT (RFC 7519 section 4.1). */
export function tokenDates(token: string): CredentialDates | undefined {
  const parts = token.split(".");
  if (parts.length !== 3) {
    return undefined;
  }
  let claims: unknown;
  try {
    claims = JSON.parse(Buffer.from(parts[1] ?? "", "base64url").toString("utf8"));
  } catch {
    return undefined;
  }
  if (typeof claims !== "object" || claims === null) {
    return undefined;
  }
  const until = "exp" in claims ? seconds(claims.exp) : undefined;
  const from = "iat" in claims ? seconds(claims.iat) : undefined;
  return until === undefined ? undefined : { until, ...(from !== undefined && { from }) };
}

function seconds(claim: unknown): number | undefined {
  return typeof claim === "number" && Number.isFinite(claim) ? claim * 1000 : undefined;
}

/** RFC 3339 as milliseconds since the epoch; undefined for what is none. */
export function timestamp(text: string | null | undefined): number | undefined {
  const time = text === null || text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(time) ? undefined : time;
}
