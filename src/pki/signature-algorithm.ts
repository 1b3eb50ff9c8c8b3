import { sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { LanyardError } from "../errors.ts";
import { derNull, derObjectIdentifier, derSequence } from "./der.ts";

/** How one key signs certificates. */
export interface CertificateSigner {
  /** AlgorithmIdentifier, DER. */
  readonly algorithm: Buffer;
  /** Contents of the signature BIT STRING. */
  sign(data: Uint8Array): Buffer | Promise<Buffer>;
}

interface Scheme {
  readonly algorithm: Buffer;
  readonly hash: "sha256" | "sha384" | "sha512" | null;
  /** Cheap enough to stay on the event loop (L1). */
  readonly onLoop: boolean;
}

const schemes: Readonly<Record<string, Scheme>> = {
  prime256v1: { algorithm: identifier("1.2.840.10045.4.3.2"), hash: "sha256", onLoop: true },
  secp384r1: { algorithm: identifier("1.2.840.10045.4.3.3"), hash: "sha384", onLoop: false },
  secp521r1: { algorithm: identifier("1.2.840.10045.4.3.4"), hash: "sha512", onLoop: false },
  rsa: { algorithm: identifier("1.2.840.113549.1.1.11", derNull()), hash: "sha256", onLoop: false },
  ed25519: { algorithm: identifier("1.3.101.112"), hash: null, onLoop: true },
};

function identifier(algorithm: string, ...parameters: readonly Buffer[]): Buffer {
  return derSequence(derObjectIdentifier(algorithm), ...parameters);
}

/**
 * The signer of a CA key: ECDSA with the hash that fits P-256, P-384 or P-521 (RFC 5758), RSA PKCS #1 v1.5 with SHA-256,
 * Ed25519 (RFC 8410). Everything but P-256 and Ed25519 signs on the thread pool. Refusal:
 * `certificateAuthority.keyUnsupported`.
 */
export function createCertificateSigner(privateKey: KeyObject): CertificateSigner {
  const kind =
    privateKey.asymmetricKeyType === "ec"
      ? privateKey.asymmetricKeyDetails?.namedCurve
      : privateKey.asymmetricKeyType;
  const scheme = Object.hasOwn(schemes, kind ?? "") ? schemes[kind ?? ""] : undefined;
  if (scheme === undefined) {
    throw new LanyardError({
      code: "certificateAuthority.keyUnsupported",
      message: `invalid CA key: cannot sign certificates with a key of type ${kind ?? "unknown"}`,
    });
  }
  const { algorithm, hash, onLoop } = scheme;
  return {
    algorithm,
    sign: onLoop
      ? (data) => sign(hash, data, privateKey)
      : (data) =>
          new Promise((resolve, reject) => {
            sign(hash, data, privateKey, (error, signature) => {
              if (error === null) {
                resolve(signature);
              } else {
                reject(error);
              }
            });
          }),
  };
}
