import { createHash } from "node:crypto";
import type { JSONWebKeySet, JWTPayload, JWTVerifyOptions } from "jose";
import { createLocalJWKSet, decodeProtectedHeader, errors, jwtVerify } from "jose";
import { messageOf } from "../../errors.ts";
import { goQuote } from "../../go-text.ts";
import { CommandError } from "../command-error.ts";
import { loginError, withAuditId } from "./failed-call.ts";
import { getDocument } from "./get-document.ts";
import type { LoginCall } from "./login-call.ts";
import type { Provider } from "./provider.ts";
import { parseObject } from "./provider.ts";

/** Seconds by which `exp` and `nbf` may be off (contract cli.md 13.3 rule 8). */
const LEEWAY = 60;
/** Milliseconds below which a measured offset is the resolution of `Date` (contract cli.md 13.3). */
const OFFSET_RESOLUTION = 2000;
const ASYMMETRIC = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];

/** An ID token that fails a check: the issuer or somebody between is wrong, and a retry would not help. */
export class InvalidIdToken extends CommandError {
  constructor(message: string, cause?: unknown) {
    super("cli.oidc.invalid-id-token", message, cause);
    this.name = "InvalidIdToken";
  }
}

type VerifyCall = Pick<LoginCall, "context" | "http" | "signal">;

/** Verifies signature, issuer, audience and times of a JWT against the issuer's keys; throws jose's errors. */
export async function verifyToken(
  call: VerifyCall,
  provider: Provider,
  token: string,
  expected: { readonly audience: string; readonly clockOffset: number | undefined },
): Promise<JWTPayload> {
  const keys = await fetchKeys(call, provider);
  const offset = expected.clockOffset ?? 0;
  const options: JWTVerifyOptions = {
    issuer: provider.issuer,
    audience: expected.audience,
    algorithms: allowedAlgorithms(provider),
    requiredClaims: ["exp"],
    clockTolerance: LEEWAY,
    // The issuer made the times by its own clock, and its `Date` told what that shows.
    currentDate: new Date(call.context.clock.now() + (Math.abs(offset) > OFFSET_RESOLUTION ? offset : 0)),
  };
  const find = createLocalJWKSet(keys);
  try {
    return (await jwtVerify(token, find, options)).payload;
  } catch (error) {
    // A Supervisor's tokens name no key: any of the issuer's may be the one.
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) {
      throw error;
    }
    for await (const key of error) {
      try {
        return (await jwtVerify(token, key, options)).payload;
      } catch (failure) {
        if (!(failure instanceof errors.JWSSignatureVerificationFailed)) {
          throw failure;
        }
      }
    }
    throw new errors.JWSSignatureVerificationFailed();
  }
}

/** The checks of an ID token (contract cli.md 4.7). A nonce that is absent is not checked: it belongs to an authorization request. */
export async function verifyIdToken(
  call: VerifyCall,
  provider: Provider,
  idToken: string,
  expected: {
    readonly clientId: string;
    readonly nonce?: string | undefined;
    readonly accessToken: string;
    readonly clockOffset: number | undefined;
  },
): Promise<JWTPayload> {
  let claims: JWTPayload;
  try {
    claims = await verifyToken(call, provider, idToken, {
      audience: expected.clientId,
      clockOffset: expected.clockOffset,
    });
  } catch (error) {
    if (error instanceof KeysUnavailable) {
      throw loginError(`received invalid ID token: ${messageOf(error)}`, error);
    }
    throw new InvalidIdToken(`received invalid ID token: ${messageOf(error)}`, error);
  }
  const accessTokenHash = claims["at_hash"];
  if (accessTokenHash !== undefined && accessTokenHash !== hashOf(idToken, expected.accessToken)) {
    throw new InvalidIdToken("received invalid ID token: access token hash does not match value in ID token");
  }
  const nonce = typeof claims["nonce"] === "string" ? claims["nonce"] : "";
  if (expected.nonce !== undefined && nonce !== expected.nonce) {
    throw new InvalidIdToken(
      `received ID token with invalid nonce: invalid nonce (expected ${goQuote(expected.nonce)}, got ${goQuote(nonce)})`,
    );
  }
  return claims;
}

/** The keys could not be fetched, which says nothing about the token. */
class KeysUnavailable extends CommandError {
  constructor(message: string, cause?: unknown) {
    super("cli.oidc.keys-unavailable", message, cause);
    this.name = "KeysUnavailable";
  }
}

/** Keys are fetched once per login: the ID token and an exchanged one are checked with the same. */
const fetchedKeys = new WeakMap<Provider, JSONWebKeySet>();

async function fetchKeys(call: VerifyCall, provider: Provider): Promise<JSONWebKeySet> {
  const known = fetchedKeys.get(provider);
  if (known !== undefined) {
    return known;
  }
  if (provider.jwksUri === undefined) {
    throw new KeysUnavailable("the issuer's discovery names no jwks_uri");
  }
  const answer = await getDocument(call.http, provider.jwksUri, call.signal).catch((error: unknown) => {
    throw new KeysUnavailable(`could not fetch the issuer's keys: ${messageOf(error)}`, error);
  });
  const keys = answer.status === 200 ? parseObject(answer.body)?.["keys"] : undefined;
  if (!Array.isArray(keys)) {
    const what = answer.status === 200 ? "the answer is not a key set" : answer.statusLine;
    throw new KeysUnavailable(withAuditId(`could not fetch the issuer's keys: ${what}`, answer.auditId));
  }
  const set = { keys: keys as JSONWebKeySet["keys"] };
  fetchedKeys.set(provider, set);
  return set;
}

/** What the issuer says it signs with, never a symmetric algorithm or none; RS256 where it says nothing (OIDC Core 15.1). */
function allowedAlgorithms(provider: Provider): string[] {
  const offered = provider.signingAlgorithms.filter((algorithm) => ASYMMETRIC.includes(algorithm));
  return offered.length === 0 ? ["RS256"] : offered;
}

/** `at_hash`: the left half of the access token's hash (OIDC Core 3.1.3.6). */
function hashOf(idToken: string, accessToken: string): string {
  const algorithm = decodeProtectedHeader(idToken).alg ?? "";
  const bits = /256$/.test(algorithm) ? 256 : /384$/.test(algorithm) ? 384 : 512;
  const hash = createHash(`sha${bits}`).update(accessToken).digest();
  return hash.subarray(0, hash.length / 2).toString("base64url");
}
