import { generateKeyPairSync } from "node:crypto";

// PKCS #8 of a P-256 key (RFC 5958, RFC 5915) around its 32 private and 65 public bytes. Exporting key objects costs more
// than making the pair.
const PKCS8_HEAD = Buffer.from(
  "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420",
  "hex",
);
const PKCS8_MIDDLE = Buffer.from("a144034200", "hex");
// SubjectPublicKeyInfo of a P-256 key (RFC 5480).
const SPKI_HEAD = Buffer.from("3059301306072a8648ce3d020106082a8648ce3d030107034200", "hex");

/** A fresh P-256 key pair in the two forms that a certificate and its holder need. */
export interface P256KeyPair {
  /** PKCS #8, DER. */
  readonly pkcs8: Buffer;
  /** SubjectPublicKeyInfo, DER, uncompressed point. */
  readonly spki: Buffer;
}

export function generateP256KeyPair(): P256KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { format: "raw-public", type: "uncompressed" },
    privateKeyEncoding: { format: "raw-private" },
  });
  if (privateKey.length !== 32 || publicKey.length !== 65 || publicKey[0] !== 4) {
    throw new TypeError("a raw P-256 key pair has 32 private and 65 public bytes");
  }
  return {
    pkcs8: Buffer.concat([PKCS8_HEAD, privateKey, PKCS8_MIDDLE, publicKey]),
    spki: Buffer.concat([SPKI_HEAD, publicKey]),
  };
}
