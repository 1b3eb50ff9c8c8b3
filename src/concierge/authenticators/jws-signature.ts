import { constants, KeyObject, verify } from "node:crypto";
import type { CryptoKey } from "jose";
import { LanyardError } from "../../errors.ts";

/** How node:crypto checks a signature of RFC 7518 section 3 or RFC 8037 section 3.1. */
interface Scheme {
  readonly keyType: "rsa" | "ec" | "ed25519";
  readonly hash: "sha256" | "sha384" | "sha512" | null;
  readonly parameters: {
    readonly padding?: number;
    readonly saltLength?: number;
    readonly dsaEncoding?: "ieee-p1363";
  };
}

const { RSA_PKCS1_PADDING, RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_DIGEST } = constants;
const PKCS1 = { padding: RSA_PKCS1_PADDING };
const PSS = { padding: RSA_PKCS1_PSS_PADDING, saltLength: RSA_PSS_SALTLEN_DIGEST };
const P1363 = { dsaEncoding: "ieee-p1363" } as const;
const ED25519: Scheme = { keyType: "ed25519", hash: null, parameters: {} };

const schemes: ReadonlyMap<string, Scheme> = new Map([
  ["RS256", { keyType: "rsa", hash: "sha256", parameters: PKCS1 }],
  ["RS384", { keyType: "rsa", hash: "sha384", parameters: PKCS1 }],
  ["RS512", { keyType: "rsa", hash: "sha512", parameters: PKCS1 }],
  ["PS256", { keyType: "rsa", hash: "sha256", parameters: PSS }],
  ["PS384", { keyType: "rsa", hash: "sha384", parameters: PSS }],
  ["PS512", { keyType: "rsa", hash: "sha512", parameters: PSS }],
  ["ES256", { keyType: "ec", hash: "sha256", parameters: P1363 }],
  ["ES384", { keyType: "ec", hash: "sha384", parameters: P1363 }],
  ["ES512", { keyType: "ec", hash: "sha512", parameters: P1363 }],
  ["EdDSA", ED25519],
  ["Ed25519", ED25519],
]);

/** RFC 7518 section 3.3. */
const MINIMUM_MODULUS_BITS = 2048;
/** Up to here a check takes less than handing it to another thread, or little more (L1). */
const MAXIMUM_MODULUS_BITS_ON_LOOP = 4096;
const USUAL_EXPONENT = 65_537n;

interface PreparedKey {
  readonly key: KeyObject;
  readonly onLoop: boolean;
}

const prepared = new WeakMap<CryptoKey, PreparedKey>();

/**
 * Whether `key`, which was chosen and imported for this algorithm, signed `input`. RSA keys of the usual sizes, P-256 and Ed25519 are
 * checked at once: WebCrypto would pass each of them to another thread and back, which costs more than the check. Refusals:
 * `jws.algorithm`, `jws.key`.
 */
export function isSignedBy(
  key: CryptoKey,
  algorithm: string,
  input: Uint8Array,
  signature: Uint8Array,
): boolean | Promise<boolean> {
  const scheme = schemes.get(algorithm);
  if (scheme === undefined) {
    throw new LanyardError({ code: "jws.algorithm", message: "the signature algorithm is not supported" });
  }
  let known = prepared.get(key);
  if (known === undefined) {
    known = prepare(key);
    prepared.set(key, known);
  }
  if (known.key.asymmetricKeyType !== scheme.keyType) {
    throw new LanyardError({ code: "jws.key", message: "the key is of another type than its algorithm" });
  }
  const verification = { key: known.key, ...scheme.parameters };
  return known.onLoop
    ? verify(scheme.hash, input, verification, signature)
    : new Promise((resolve, reject) => {
        verify(scheme.hash, input, verification, signature, (error, good) => {
          if (error === null) {
            resolve(good);
          } else {
            reject(error);
          }
        });
      });
}

function prepare(cryptoKey: CryptoKey): PreparedKey {
  const key = KeyObject.from(cryptoKey);
  const { modulusLength, publicExponent, namedCurve } = key.asymmetricKeyDetails ?? {};
  if (modulusLength === undefined) {
    return { key, onLoop: namedCurve === undefined || namedCurve === "prime256v1" };
  }
  if (modulusLength < MINIMUM_MODULUS_BITS) {
    throw new LanyardError({
      code: "jws.key",
      message: `an RSA key has ${MINIMUM_MODULUS_BITS} bits at least`,
    });
  }
  return { key, onLoop: modulusLength <= MAXIMUM_MODULUS_BITS_ON_LOOP && publicExponent === USUAL_EXPONENT };
}
