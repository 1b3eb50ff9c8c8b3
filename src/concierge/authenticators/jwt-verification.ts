import type { CryptoKey, LocalJWKSet } from "jose";
import { errors } from "jose";
import type { Clock } from "../../clock.ts";
import { LanyardError, messageOf } from "../../errors.ts";
import { claimOf } from "../../identity/claims-mapping.ts";
import type { JwksSource } from "./jwks-source.ts";
import { isSignedBy } from "./jws-signature.ts";
import { parseJsonObject } from "./oidc-discovery.ts";

/** The claims of a token, in the order of the token; read them with `Object.hasOwn`. */
export type Claims = Readonly<Record<string, unknown>>;

/** A token that is the authenticator's own but cannot be accepted; `message` starts with `oidc: ` and holds no claim values. */
export class JwtRefusal extends LanyardError {
  constructor(message: string, cause?: unknown) {
    super({ code: "jwt.refused", message, cause, publicMessage: "authentication failed", httpStatus: 401 });
    this.name = "JwtRefusal";
  }
}

/** The signature algorithms of contract 4.5. */
export const CONTRACT_ALGORITHMS: readonly string[] = ["RS256", "ES256"];

const asymmetricAlgorithm = /^(?:RS|PS|ES)(?:256|384|512)$|^EdDSA$|^Ed25519$/;

/**
 * The algorithms for the tokens of an issuer: those of the contract always, and the other asymmetric ones of RFC 7518 and 8037 that
 * its discovery document announces (`id_token_signing_alg_values_supported`); never `none` or an HMAC.
 */
export function announcedAlgorithms(announced: unknown): readonly string[] {
  const names: readonly unknown[] = Array.isArray(announced) ? announced : [];
  const asymmetric = names.filter(
    (name): name is string => typeof name === "string" && asymmetricAlgorithm.test(name),
  );
  return [...new Set([...CONTRACT_ALGORITHMS, ...asymmetric])];
}

/** No longer token is looked at (engineering.md L4, clarification 8). */
export const MAXIMUM_TOKEN_BYTES = 64 * 1024;

/** How far in the future `nbf` may lie (contract 4.5). */
const NOT_BEFORE_LEEWAY_SECONDS = 60;

export interface JwtVerificationOptions {
  /** Accepted values of `iss`. */
  readonly issuers: readonly string[];
  readonly audience: string;
  /** Explicit and asymmetric; a `TypeError` otherwise. */
  readonly algorithms: readonly string[];
  readonly clock: Clock;
}

/** Refuses options that would let a token be signed with a public key or not at all. */
export function checkAlgorithms(algorithms: readonly string[]): void {
  const unfit = algorithms.find((algorithm) => !asymmetricAlgorithm.test(algorithm));
  if (algorithms.length === 0 || unfit !== undefined) {
    throw new TypeError(
      `algorithms must be asymmetric signature algorithms, not ${unfit ?? "an empty list"}`,
    );
  }
}

/** A compact JWS of a JSON object (RFC 7515 section 7.1); nothing is verified. */
export interface UnverifiedJwt {
  readonly token: string;
  /** Only good for deciding whose token it is. */
  readonly claims: Claims;
}

/** Takes a token apart; nothing when it is no compact JWS of a JSON object. */
export function readUnverifiedJwt(token: string): UnverifiedJwt | undefined {
  if (token.length > MAXIMUM_TOKEN_BYTES || !COMPACT_JWS.test(token)) {
    return undefined;
  }
  const start = token.indexOf(".") + 1;
  const claims = readObject(token.slice(start, token.indexOf(".", start)));
  return claims === undefined ? undefined : { token, claims };
}

const COMPACT_JWS = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

/** One part of a token; a lone character at the end of base64url stands for nothing. */
function readObject(part: string): Claims | undefined {
  return part.length % 4 === 1 ? undefined : parseJsonObject(Buffer.from(part, "base64url"));
}

/**
 * Verifies signature and times (contract 4.5) and answers the claims, or throws `JwtRefusal`. With an unknown or a wrong key the
 * keys are fetched again once, within the limits of the source.
 */
export async function verifyJwt(
  token: UnverifiedJwt,
  source: JwksSource,
  options: JwtVerificationOptions,
  signal: AbortSignal,
): Promise<Claims> {
  try {
    return await verifyWithSource(token, source, options, signal);
  } catch (error) {
    if (signal.aborted) {
      throw signal.reason;
    }
    throw new JwtRefusal(`oidc: verify token: ${messageOf(error)}`, error);
  }
}

async function verifyWithSource(
  token: UnverifiedJwt,
  source: JwksSource,
  options: JwtVerificationOptions,
  signal: AbortSignal,
): Promise<Claims> {
  const keys = source.current();
  try {
    return await verifyWithKeys(token, keys, options);
  } catch (error) {
    if (!mayBeCuredByNewKeys(error) || !(await refreshed(source, keys, error, signal))) {
      throw error;
    }
    return await verifyWithKeys(token, source.current(), options);
  }
}

async function refreshed(
  source: JwksSource,
  seen: LocalJWKSet | undefined,
  verificationError: unknown,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return await source.refreshAfter(seen, signal);
  } catch (fetchError) {
    signal.throwIfAborted();
    const message = `${messageOf(verificationError)}; fetching keys ${messageOf(fetchError)}`;
    throw new LanyardError({ code: "oidc.jwks", message, cause: fetchError });
  }
}

function mayBeCuredByNewKeys(error: unknown): boolean {
  return error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWSSignatureVerificationFailed;
}

async function verifyWithKeys(
  jwt: UnverifiedJwt,
  keys: LocalJWKSet | undefined,
  options: JwtVerificationOptions,
): Promise<Claims> {
  if (keys === undefined) {
    throw new errors.JWKSNoMatchingKey("there are no keys that are new enough to be trusted");
  }
  await requireSignature(jwt.token, keys, options.algorithms);
  requireClaims(jwt.claims, options);
  return jwt.claims;
}

/** The signature over header and payload, by a key of the set that fits the header's algorithm and `kid` (RFC 7515 section 5.2). */
async function requireSignature(
  token: string,
  keys: LocalJWKSet,
  algorithms: readonly string[],
): Promise<void> {
  const header = readObject(token.slice(0, token.indexOf(".")));
  const { alg, kid, crit } = header ?? {};
  if (header === undefined || typeof alg !== "string" || (kid !== undefined && typeof kid !== "string")) {
    throw new JwtRefusal("the header of the token is malformed");
  }
  if (!algorithms.includes(alg)) {
    throw new JwtRefusal("the signature algorithm of the token is not allowed");
  }
  if (crit !== undefined) {
    throw new JwtRefusal("the token uses an extension that is not known");
  }
  const end = token.lastIndexOf(".");
  const input = Buffer.from(token.slice(0, end), "latin1");
  const signature = Buffer.from(token.slice(end + 1), "base64url");
  const isGood = (key: CryptoKey): boolean | Promise<boolean> => isSignedBy(key, alg, input, signature);
  if (!(await verifiesWithOne(keys, { alg, ...(kid === undefined ? {} : { kid }) }, isGood))) {
    throw new errors.JWSSignatureVerificationFailed();
  }
}

async function verifiesWithOne(
  keys: LocalJWKSet,
  header: { readonly alg: string; readonly kid?: string },
  isGood: (key: CryptoKey) => boolean | Promise<boolean>,
): Promise<boolean> {
  try {
    return await isGood(await keys(header));
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) {
      throw error;
    }
    // Without a kid, or when keys share one, each key that fits is tried (contract 4.5).
    for await (const key of error) {
      if (await isGood(key)) {
        return true;
      }
    }
    return false;
  }
}

/** Whom the token is from and for, and when it holds (RFC 7519 section 4.1, contract 4.5). */
function requireClaims(claims: Claims, { issuers, audience, clock }: JwtVerificationOptions): void {
  const issuer = claimOf(claims, "iss");
  if (typeof issuer !== "string" || !issuers.includes(issuer)) {
    throw new JwtRefusal('unexpected "iss" claim value');
  }
  const audiences = claimOf(claims, "aud");
  if (audiences !== audience && !(Array.isArray(audiences) && audiences.includes(audience))) {
    throw new JwtRefusal('unexpected "aud" claim value');
  }
  const now = clock.now();
  for (const name of ["iat", "nbf"]) {
    const value = claimOf(claims, name);
    if (value !== undefined && typeof value !== "number") {
      throw new JwtRefusal(`"${name}" claim must be a number`);
    }
    if (name === "nbf" && value !== undefined && value > Math.floor(now / 1000) + NOT_BEFORE_LEEWAY_SECONDS) {
      throw new JwtRefusal('"nbf" claim timestamp check failed');
    }
  }
  refuseExpired(claims, now);
}

/** No leeway for `exp` (contract 4.5): a token ends at that very moment (RFC 7519 section 4.1.4). */
function refuseExpired(claims: Claims, now: number): void {
  const expiry = claimOf(claims, "exp");
  if (typeof expiry !== "number" || !Number.isFinite(expiry)) {
    throw new JwtRefusal('"exp" claim must be a finite number');
  }
  if (now >= expiry * 1000) {
    throw new JwtRefusal("token is expired");
  }
}
