/** What a bearer credential looks like (S9): a JWT in compact form (RFC 7519, RFC 7515) with exactly this header and these claims. */
export const BEARER_TYPE = "lanyard-proxy+jwt";
export const BEARER_ALGORITHM = "ES256";

/** Issuers of all clusters begin so; see `bearerAudience`. */
export const AUDIENCE_PREFIX = "urn:lanyard:";

/** A longer token is neither issued nor read (S9): headers must leave room beside it. */
export const MAXIMUM_BEARER_BYTES = 48 * 1024;

/** The claims, `exp`, `iat` and `nbf` in whole seconds since the epoch. */
export interface BearerClaims {
  readonly iss: string;
  readonly aud: string;
  readonly sub: string;
  readonly groups: readonly string[];
  /** Absent when there are none. */
  readonly extra?: Readonly<Record<string, readonly string[]>>;
  readonly iat: number;
  readonly nbf: number;
  readonly exp: number;
  readonly jti: string;
  /** Hex SHA-256 of the token that it was bought with. */
  readonly src: string;
}

/** `iss` and `aud` of the bearer credentials of one cluster (S9, S22). */
export function bearerAudience(clusterUid: string, credentialIssuerUid: string): string {
  return `${AUDIENCE_PREFIX}${clusterUid}:${credentialIssuerUid}`;
}

/** The header with a `kid`, encoded: the same text in every token of that key. */
export function bearerHeader(kid: string): string {
  return encodeJson({ alg: BEARER_ALGORITHM, typ: BEARER_TYPE, kid });
}

/** JSON as a segment of the token. */
export function encodeJson(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
