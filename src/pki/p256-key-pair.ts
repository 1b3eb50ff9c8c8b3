import { createECDH, randomFillSync } from "node:crypto";

// PKCS #8 of a P-256 key (RFC 5958, RFC 5915) around its 32 private and 65 public bytes. Exporting key objects costs more
// than making the pair.
const PKCS8_HEAD = Buffer.from(
  "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420",
  "hex",
);
const PKCS8_MIDDLE = Buffer.from("a144034200", "hex");
// SubjectPublicKeyInfo of a P-256 key (RFC 5480).
const SPKI_HEAD = Buffer.from("3059301306072a8648ce3d020106082a8648ce3d030107034200", "hex");

const PRIVATE_BYTES = 32;
const PUBLIC_BYTES = 65;
const PRIVATE_AT = PKCS8_HEAD.length;
const PUBLIC_AT = PRIVATE_AT + PRIVATE_BYTES + PKCS8_MIDDLE.length;
/** The order of P-256 (SP 800-186 section 3.2.1.3), which a private key is below. */
const ORDER = Buffer.from("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", "hex");
const ZERO = Buffer.alloc(PRIVATE_BYTES);

/** Only ever used from one statement to the next: making one for each pair costs as much as the pair. */
const curve = createECDH("prime256v1");

/** A fresh P-256 key pair in the two forms that a certificate and its holder need. */
export interface P256KeyPair {
  /** PKCS #8, DER. */
  readonly pkcs8: Buffer;
  /** SubjectPublicKeyInfo, DER, uncompressed point. */
  readonly spki: Buffer;
}

/**
 * Private bytes from the system's random generator until they are a private key (FIPS 186-5 appendix A.2.2, all but always the
 * first), and the public key that OpenSSL computes for them: a third of what `generateKeyPairSync` costs with the same result.
 */
export function generateP256KeyPair(): P256KeyPair {
  const pkcs8 = Buffer.allocUnsafeSlow(PUBLIC_AT + PUBLIC_BYTES);
  const privateKey = pkcs8.subarray(PRIVATE_AT, PRIVATE_AT + PRIVATE_BYTES);
  do {
    randomFillSync(privateKey);
  } while (!isPrivateKey(privateKey));
  curve.setPrivateKey(privateKey);
  const publicKey = curve.getPublicKey();
  if (publicKey.length !== PUBLIC_BYTES || publicKey[0] !== 4) {
    throw new TypeError("an uncompressed P-256 public key has 65 bytes");
  }
  PKCS8_HEAD.copy(pkcs8);
  PKCS8_MIDDLE.copy(pkcs8, PRIVATE_AT + PRIVATE_BYTES);
  publicKey.copy(pkcs8, PUBLIC_AT);
  return { pkcs8, spki: Buffer.concat([SPKI_HEAD, publicKey]) };
}

/** Whether big-endian bytes are between 1 and the order less 1. */
export function isPrivateKey(bytes: Buffer): boolean {
  return bytes.compare(ORDER) < 0 && !bytes.equals(ZERO);
}
