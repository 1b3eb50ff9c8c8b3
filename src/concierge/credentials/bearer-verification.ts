import { createHmac, randomBytes, verify } from "node:crypto";
import type { KeyObject } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { LanyardError } from "../../errors.ts";
import type { Identity } from "../../identity/identity.ts";
import { CREDENTIAL_ID_EXTRA } from "../../identity/unsupported-user-info.ts";
import type { ReadonlyHolder } from "../state/holder.ts";
import type { BearerKeys } from "../state/proxy.ts";
import { readBearerClaims } from "./bearer-claims.ts";
import { AUDIENCE_PREFIX, bearerHeader, encodeJson, MAXIMUM_BEARER_BYTES } from "./bearer-token-format.ts";

/** Nobody's token is longer; clarification 8. */
const MAXIMUM_TOKEN_BYTES = 64 * 1024;
const SIGNATURE_BYTES = 64;
/** Tokens whose signature need not be checked again. */
const MAXIMUM_REMEMBERED = 4096;

/** Who a bearer credential names. */
export interface VerifiedBearer {
  /** With the extra `authentication.kubernetes.io/credential-id: JTI=<jti>` (S17). */
  readonly identity: Identity;
  readonly jti: string;
  /** Of the token that it was bought with; the deny list knows it too. */
  readonly tokenID: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

export interface BearerVerifier {
  /**
   * Decides from what is in force at this moment. Refusals, all with status 401 and without any part of the token:
   * `bearer.tooLarge`, `bearer.malformed`, `bearer.noKey`, `bearer.noAudience`, `bearer.header` (also a key that is not
   * trusted), `bearer.signature`, `bearer.claims`, `bearer.audience`, `bearer.notYetValid`, `bearer.expired`.
   */
  verify(token: string): VerifiedBearer;
}

/** Header segments begin so whatever the `kid`; whole groups of three bytes encode alike. */
const HEADER_START = headerStart();

/**
 * Whether the local verifier alone decides over a token (S13): its unverified `iss` is one of ours, of this cluster or
 * another, whose tokens are no business of this cluster's kube-apiserver either (S22). What is too long for anybody's
 * token ends here too.
 */
export function isOwnBearer(token: string): boolean {
  if (token.length > MAXIMUM_TOKEN_BYTES || token.startsWith(HEADER_START)) {
    return true;
  }
  const payload = token.split(".", 3)[1];
  if (payload === undefined) {
    return false;
  }
  const claims = parseObject(payload);
  const issuer = claims?.["iss"];
  return typeof issuer === "string" && issuer.startsWith(AUDIENCE_PREFIX);
}

/**
 * Verifies bearer credentials (S9). The header is not interpreted: it must be, byte for byte, that of a key in force, so
 * no algorithm, key or extension of the caller's choice exists. That a signature over certain bytes is good is
 * remembered per key, as it cannot change; all else is decided anew for each request.
 */
export function createBearerVerifier(options: {
  readonly clock: Clock;
  readonly bearerKeys: ReadonlyHolder<BearerKeys | undefined>;
  readonly bearerAudience: ReadonlyHolder<string | undefined>;
}): BearerVerifier {
  const { clock, bearerKeys, bearerAudience } = options;
  let inForce: BearerKeys | undefined;
  let byHeader = new Map<string, VerificationKey>();
  const keyFor = (header: string): VerificationKey => {
    const keys = bearerKeys.current;
    if (keys !== inForce) {
      inForce = keys;
      byHeader = prepare(keys);
    }
    if (keys === undefined) {
      throw refusal("bearer.noKey", "no key for bearer credentials is trusted");
    }
    const key = byHeader.get(header);
    if (key === undefined) {
      throw refusal("bearer.header", "the header is not that of a bearer credential of a key in force");
    }
    return key;
  };
  return {
    verify: (token) => {
      // Before any parsing.
      if (token.length > MAXIMUM_BEARER_BYTES) {
        throw refusal("bearer.tooLarge", `longer than ${MAXIMUM_BEARER_BYTES} bytes`);
      }
      const [header, payload, signature, ...rest] = token.split(".", 4);
      if (header === undefined || payload === undefined || signature === undefined || rest.length > 0) {
        throw refusal("bearer.malformed", "not a JWT of three parts");
      }
      const key = keyFor(header);
      const audience = bearerAudience.current;
      if (audience === undefined) {
        throw refusal("bearer.noAudience", "the audience of bearer credentials is not known yet");
      }
      const object = parseObject(payload);
      if (object === undefined) {
        throw refusal("bearer.malformed", "the claims are not a JSON object");
      }
      const digest = key.digestOf(token);
      if (!key.good.has(digest)) {
        requireSignature(key.publicKey, `${header}.${payload}`, signature);
        // We write claims in one way only: two keys of one name, or numbers in another form, are not ours.
        if (encodeJson(object) !== payload) {
          throw refusal("bearer.malformed", "the claims are not in the form in which they are issued");
        }
        remember(key.good, digest);
      }
      const claims = readBearerClaims(object, audience);
      const now = clock.now();
      if (now < claims.nbf * 1000) {
        throw refusal("bearer.notYetValid", "not valid yet");
      }
      if (now >= claims.exp * 1000) {
        throw refusal("bearer.expired", "expired");
      }
      return {
        identity: {
          username: claims.sub,
          groups: claims.groups,
          extra: { ...claims.extra, [CREDENTIAL_ID_EXTRA]: [`JTI=${claims.jti}`] },
        },
        jti: claims.jti,
        tokenID: claims.src,
        expiresAt: claims.exp * 1000,
      };
    },
  };
}

interface VerificationKey {
  readonly publicKey: KeyObject;
  /** A digest of a token that is of no use outside this process (S4). */
  digestOf(token: string): string;
  /** Digests of tokens on which this key's signature was found good, the oldest first. */
  readonly good: Set<string>;
}

function prepare(keys: BearerKeys | undefined): Map<string, VerificationKey> {
  const secret = randomBytes(32);
  return new Map(
    [...(keys?.trusted ?? [])].map(([kid, publicKey]) => [
      bearerHeader(kid),
      {
        publicKey,
        digestOf: (token) => createHmac("sha256", secret).update(token).digest("base64"),
        good: new Set(),
      },
    ]),
  );
}

function remember(good: Set<string>, digest: string): void {
  good.add(digest);
  for (const oldest of good) {
    if (good.size <= MAXIMUM_REMEMBERED) {
      return;
    }
    good.delete(oldest);
  }
}

function requireSignature(key: KeyObject, input: string, text: string): void {
  const signature = Buffer.from(text, "base64url");
  // Node skips what is not base64url; only text that survives the way back was clean.
  if (signature.length !== SIGNATURE_BYTES || signature.toString("base64url") !== text) {
    throw refusal("bearer.signature", "the signature does not have the form of ES256");
  }
  if (!verify("sha256", Buffer.from(input), { key, dsaEncoding: "ieee-p1363" }, signature)) {
    throw refusal("bearer.signature", "the signature does not verify");
  }
}

function parseObject(segment: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(segment, "base64url").toString());
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : undefined;
  } catch {
    return undefined;
  }
}

function headerStart(): string {
  const [before = ""] = Buffer.from(bearerHeader("?"), "base64url").toString().split("?");
  return Buffer.from(before.slice(0, before.length - (before.length % 3))).toString("base64url");
}

function refusal(code: string, message: string): LanyardError {
  return new LanyardError({
    code,
    message: `bearer credential refused: ${message}`,
    publicMessage: "Unauthorized",
    httpStatus: 401,
  });
}
