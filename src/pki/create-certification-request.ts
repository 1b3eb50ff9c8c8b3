import { createPrivateKey, sign } from "node:crypto";
import { refuseUnusableNames } from "./client-certificate.ts";
import { derBitString, derContext, derInteger, derObjectIdentifier, derSequence } from "./der.ts";
import { encodeClientSubject } from "./distinguished-name.ts";
import type { P256KeyPair } from "./p256-key-pair.ts";
import { encodePem } from "./pem.ts";

/** A PKCS#10 request that was made here. */
export interface CreatedCertificationRequest {
  readonly pem: string;
  readonly der: Buffer;
  /** DER `Name` that is asked for. */
  readonly subject: Buffer;
}

const VERSION = derInteger(0);
const NO_ATTRIBUTES = derContext(0);
const ECDSA_WITH_SHA256 = derSequence(derObjectIdentifier("1.2.840.10045.4.3.2"));

/**
 * A PKCS#10 request (RFC 2986) for one user, without attributes, signed by its own P-256 key. Names are encoded, never
 * parsed. Refusals: those of `refuseUnusableNames`.
 */
export function createCertificationRequest(options: {
  readonly username: string;
  readonly groups: readonly string[];
  readonly keyPair: P256KeyPair;
  /** How the names become a DER `Name`; absent: as in a client certificate. */
  readonly encodeSubject?: (username: string, groups: readonly string[]) => Buffer;
}): CreatedCertificationRequest {
  const { username, groups, keyPair, encodeSubject = encodeClientSubject } = options;
  refuseUnusableNames(username, groups);
  const subject = encodeSubject(username, groups);
  const info = derSequence(VERSION, subject, keyPair.spki, NO_ATTRIBUTES);
  const privateKey = createPrivateKey({ key: keyPair.pkcs8, format: "der", type: "pkcs8" });
  const der = derSequence(info, ECDSA_WITH_SHA256, derBitString(sign("sha256", info, privateKey)));
  return { pem: encodePem("CERTIFICATE REQUEST", der), der, subject };
}
