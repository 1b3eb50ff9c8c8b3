import type { CryptoKey, JWTPayload, LocalJWKSet } from "jose";
import { errors, jwtVerify } from "jose";
import type { Clock } from "../../clock.ts";
import { LanyardError, messageOf } from "../../errors.ts";
import type { JwksSource } from "./jwks-source.ts";
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

/**
 * The claims of a token before anything is verified; nothing when it is no compact JWS of a JSON object. Only good for
 * deciding whose token it is.
 */
export function readUnverifiedClaims(token: string): Claims | undefined {
  if (token.length > MAXIMUM_TOKEN_BYTES || !/^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/.test(token)) {
    return undefined;
  }
  const start = token.indexOf(".") + 1;
  return parseJsonObject(Buffer.from(token.slice(start, token.indexOf(".", start)), "base64url"));
}

/**
 * Verifies signature and times (contract 4.5) and answers the claims, or throws `JwtRefusal`. With an unknown or a wrong key the
 * keys are fetched again once, within the limits of the source.
 */
export async function verifyJwt(
  token: string,
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
  token: string,
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
  token: string,
  keys: LocalJWKSet | undefined,
  options: JwtVerificationOptions,
): Promise<Claims> {
  if (keys === undefined) {
    throw new errors.JWKSNoMatchingKey("there are no keys that are new enough to be trusted");
  }
  const verify = (key: LocalJWKSet | CryptoKey): Promise<{ payload: JWTPayload }> => {
    const verification = {
      algorithms: [...options.algorithms],
      issuer: [...options.issuers],
      audience: options.audience,
      requiredClaims: ["exp"],
      // jose has one tolerance for all times: this one is for nbf, exp is checked again without it.
      clockTolerance: NOT_BEFORE_LEEWAY_SECONDS,
      currentDate: new Date(options.clock.now()),
    };
    return typeof key === "function"
      ? jwtVerify(token, key, verification)
      : jwtVerify(token, key, verification);
  };
  const payload = await verifyWithFirst(keys, verify);
  refuseExpired(payload, options.clock.now());
  return payload;
}

async function verifyWithFirst(
  keys: LocalJWKSet,
  verify: (key: LocalJWKSet | CryptoKey) => Promise<{ payload: JWTPayload }>,
): Promise<JWTPayload> {
  try {
    return (await verify(keys)).payload;
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) {
      throw error;
    }
    // Without a kid, or when keys share one, each key that fits is tried (contract 4.5).
    for await (const key of error) {
      try {
        return (await verify(key)).payload;
      } catch (keyError) {
        if (!(keyError instanceof errors.JWSSignatureVerificationFailed)) {
          throw keyError;
        }
      }
    }
    throw new errors.JWSSignatureVerificationFailed();
  }
}

/** No leeway for `exp` (contract 4.5): a token ends at that very moment (RFC 7519 section 4.1.4). */
function refuseExpired(claims: Claims, now: number): void {
  const expiry = claims["exp"];
  if (typeof expiry !== "number" || !Number.isFinite(expiry)) {
    throw new JwtRefusal('"exp" claim must be a finite number');
  }
  if (now >= expiry * 1000) {
    throw new JwtRefusal("token is expired");
  }
}
