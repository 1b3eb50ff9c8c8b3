import { constants, verify } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { derContext, derInteger, derNull, derObjectIdentifier, derSequence } from "./der.ts";

interface Algorithm {
  readonly keyType: string;
  /** Undefined: the algorithm brings its own. */
  readonly hash: string | undefined;
  /** RSASSA-PSS with a salt as long as the hash. */
  readonly saltLength?: number;
}

const RSA_PSS = derObjectIdentifier("1.2.840.113549.1.1.10");
const MGF1 = derObjectIdentifier("1.2.840.113549.1.1.8");

/** The accepted algorithms by the hex of their whole AlgorithmIdentifier; neither MD5 nor SHA-1 is among them. */
const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map(
  [
    { hash: "sha256", bytes: 32, rsa: 11, ecdsa: 2, oid: 1 },
    { hash: "sha384", bytes: 48, rsa: 12, ecdsa: 3, oid: 2 },
    { hash: "sha512", bytes: 64, rsa: 13, ecdsa: 4, oid: 3 },
  ]
    .flatMap(({ hash, bytes, rsa, ecdsa, oid }): (readonly [Buffer, Algorithm])[] => {
      const digest = derObjectIdentifier(`2.16.840.1.101.3.4.2.${oid}`);
      const pss = { keyType: "rsa", hash, saltLength: bytes };
      return [
        // RFC 4055 section 5: the parameters are NULL; RFC 5758 section 3.2: there are none.
        [derSequence(derObjectIdentifier(`1.2.840.113549.1.1.${rsa}`), derNull()), { keyType: "rsa", hash }],
        [derSequence(derObjectIdentifier(`1.2.840.10045.4.3.${ecdsa}`)), { keyType: "ec", hash }],
        // RFC 4055 section 2.1: a hash with and without its NULL is the same hash.
        [encodePss(derSequence(digest, derNull()), bytes), pss],
        [encodePss(derSequence(digest), bytes), pss],
      ];
    })
    .concat([[derSequence(derObjectIdentifier("1.3.101.112")), { keyType: "ed25519", hash: undefined }]])
    .map(([identifier, algorithm]) => [identifier.toString("hex"), algorithm]),
);

/** RSASSA-PSS with one hash for message and mask, and a salt as long as it (RFC 4055 section 3.1). */
function encodePss(hash: Buffer, saltLength: number): Buffer {
  return derSequence(
    RSA_PSS,
    derSequence(
      derContext(0, hash),
      derContext(1, derSequence(MGF1, hash)),
      derContext(2, derInteger(saltLength)),
    ),
  );
}

/** Whether the signature is the key's own; undefined: the algorithm is not accepted or does not fit the key. */
export function signatureMatches(signed: {
  readonly info: Buffer;
  readonly publicKey: KeyObject;
  readonly signatureAlgorithm: Buffer;
  readonly signature: Buffer;
}): boolean | undefined {
  const { info, publicKey, signatureAlgorithm, signature } = signed;
  const algorithm = ALGORITHMS.get(signatureAlgorithm.toString("hex"));
  if (algorithm === undefined || algorithm.keyType !== publicKey.asymmetricKeyType) {
    return undefined;
  }
  const { hash, saltLength } = algorithm;
  try {
    return verify(
      hash,
      info,
      saltLength === undefined
        ? publicKey
        : { key: publicKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength },
      signature,
    );
  } catch {
    return false;
  }
}
