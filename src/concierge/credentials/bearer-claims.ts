import { LanyardError } from "../../errors.ts";
import { CREDENTIAL_ID_EXTRA } from "../../identity/unsupported-user-info.ts";
import type { BearerClaims } from "./bearer-token-format.ts";
import { MAXIMUM_LIFETIME_SECONDS } from "./lifetime.ts";

const SHA256_HEX = /^[0-9a-f]{64}$/;
const TOKEN_ID_TEXT = /^[\w-]{16,64}$/;

type Claims = Readonly<Record<string, unknown>>;

/**
 * The claims of a bearer credential for `audience`, each there and of its exact type (S9). Refusals, with status 401:
 * `bearer.claims`, `bearer.audience`. Says nothing about the present time.
 */
export function readBearerClaims(claims: Claims, audience: string): BearerClaims {
  for (const name of ["iss", "aud"]) {
    // One audience, as a string: `["a"]` is not what is issued.
    if (claims[name] !== audience) {
      throw refusal("bearer.audience", `\`${name}\` is not this cluster's`);
    }
  }
  const iat = readSeconds(claims, "iat");
  const nbf = readSeconds(claims, "nbf");
  const exp = readSeconds(claims, "exp");
  if (nbf > iat || iat >= exp || exp - iat > MAXIMUM_LIFETIME_SECONDS) {
    throw refusal("bearer.claims", "`nbf`, `iat` and `exp` do not make a lifetime that is issued");
  }
  const { groups } = claims;
  if (!isTexts(groups)) {
    throw refusal("bearer.claims", "`groups` is not a list of strings");
  }
  const extra = readExtra(claims);
  return {
    iss: audience,
    aud: audience,
    sub: readText(claims, "sub", (text) => text !== ""),
    groups,
    ...(extra === undefined ? {} : { extra }),
    iat,
    nbf,
    exp,
    jti: readText(claims, "jti", (text) => TOKEN_ID_TEXT.test(text)),
    src: readText(claims, "src", (text) => SHA256_HEX.test(text)),
  };
}

function readText(claims: Claims, name: string, isGood: (text: string) => boolean): string {
  const value = claims[name];
  if (typeof value !== "string" || !isGood(value)) {
    throw refusal("bearer.claims", `\`${name}\` is missing or malformed`);
  }
  return value;
}

function readSeconds(claims: Claims, name: string): number {
  const value = claims[name];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw refusal("bearer.claims", `\`${name}\` is missing or no number of whole seconds`);
  }
  return value;
}

function readExtra(claims: Claims): BearerClaims["extra"] {
  if (!Object.hasOwn(claims, "extra")) {
    return undefined;
  }
  const { extra } = claims;
  if (
    typeof extra !== "object" ||
    extra === null ||
    Array.isArray(extra) ||
    !Object.values(extra).every(isTexts) ||
    // It is this token's own, and nothing that a token may say (S17).
    Object.hasOwn(extra, CREDENTIAL_ID_EXTRA)
  ) {
    throw refusal("bearer.claims", "`extra` is malformed");
  }
  return extra as NonNullable<BearerClaims["extra"]>;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((text) => typeof text === "string");
}

function refusal(code: string, message: string): LanyardError {
  return new LanyardError({
    code,
    message: `bearer credential refused: ${message}`,
    publicMessage: "Unauthorized",
    httpStatus: 401,
  });
}
