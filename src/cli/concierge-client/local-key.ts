import { X509Certificate } from "node:crypto";
import { createCertificationRequest } from "../../pki/create-certification-request.ts";
import { generateP256KeyPair } from "../../pki/p256-key-pair.ts";
import { encodePem } from "../../pki/pem.ts";

/** A key pair that never leaves this machine, and the request to certify it. */
export interface LocalKey {
  /** PKCS #8, PEM. */
  readonly privateKeyPem: string;
  /** PKCS #10, PEM. */
  readonly certificateSigningRequest: string;
  /** Whether a certificate holds the public key. Answers false for what is no certificate. */
  matches(certificatePem: string): boolean;
}

/** Makes a P-256 key. The request's subject is of no meaning: a Concierge reads nothing but the public key (S8). */
export function createLocalKey(): LocalKey {
  const keyPair = generateP256KeyPair();
  const request = createCertificationRequest({ username: "lanyard", groups: [], keyPair });
  return {
    privateKeyPem: encodePem("PRIVATE KEY", keyPair.pkcs8),
    certificateSigningRequest: request.pem,
    matches: (certificatePem) => {
      try {
        const { publicKey } = new X509Certificate(certificatePem);
        return publicKey.export({ type: "spki", format: "der" }).equals(keyPair.spki);
      } catch {
        return false;
      }
    },
  };
}
