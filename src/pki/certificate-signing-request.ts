import { createPublicKey } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { LanyardError, messageOf } from "../errors.ts";
import { signatureMatches } from "./certification-request-signature.ts";
import { contextTag, derTag } from "./der.ts";
import {
  derChildren,
  expectDer,
  malformedDer,
  readDer,
  readDerBitString,
  readDerUnsigned,
} from "./der-reader.ts";
import type { DerElement } from "./der-reader.ts";

/** Largest PKCS#10 that is read, in bytes of its PEM text (S8). */
export const MAXIMUM_CERTIFICATION_REQUEST_BYTES = 16_384;

/** A PKCS#10 request (RFC 2986) of acceptable size, form and key. Its signature has not been checked, its subject is not read. */
export interface CertificationRequest {
  /** The whole request. */
  readonly der: Buffer;
  /** CertificationRequestInfo, DER: what the signature covers. */
  readonly info: Buffer;
  /** SubjectPublicKeyInfo, DER, in its one canonical form. */
  readonly publicKeyInfo: Buffer;
  readonly publicKey: KeyObject;
  /** AlgorithmIdentifier of the signature, DER. */
  readonly signatureAlgorithm: Buffer;
  readonly signature: Buffer;
}

const PEM =
  /^\s*-----BEGIN ((?:NEW )?CERTIFICATE REQUEST)-----[ \t]*\r?\n([A-Za-z0-9+/=\r\n \t]*)-----END \1-----\s*$/;

// AlgorithmIdentifiers of the accepted keys, whole: an algorithm with other parameters is another algorithm.
const RSA = "300d06092a864886f70d0101010500";
const P256 = "301306072a8648ce3d020106082a8648ce3d030107";
const P384 = "301006072a8648ce3d020106052b81040022";
const ED25519 = "300506032b6570";

/** Bytes of an uncompressed point (SEC 1 section 2.3.3) by curve. */
const POINT_BYTES: Readonly<Record<string, number>> = { [P256]: 65, [P384]: 97 };

/**
 * Encodings of the y coordinates of Ed25519's points of small order, canonical and not, without the sign bit: under such
 * a key signatures can be made without any private key, so that it proves nothing.
 */
const SMALL_ORDER = new Set([
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]);

/**
 * Reads size, form and key type of a PKCS#10 request, and nothing else (S8): one PEM block of at most 16 KiB with strict
 * DER and a key of RSA 2048 to 4096 with exponent 65537, P-256, P-384 or Ed25519. Attributes are checked for their form
 * only. Refusals, status 422, with messages that fit behind a field's name: `certificationRequest.tooLarge`,
 * `certificationRequest.pem`, `certificationRequest.malformed`, `certificationRequest.publicKey`.
 */
export function parseCertificationRequest(pem: string): CertificationRequest {
  if (pem.length > MAXIMUM_CERTIFICATION_REQUEST_BYTES) {
    throw refusal("tooLarge", `must be at most ${MAXIMUM_CERTIFICATION_REQUEST_BYTES} bytes`);
  }
  const der = decodeBlock(pem);
  try {
    return readRequest(der);
  } catch (error) {
    if (error instanceof LanyardError && error.code === "der.malformed") {
      throw refusal("malformed", `must be a PKCS#10 certification request: ${messageOf(error)}`, error);
    }
    throw error;
  }
}

/**
 * Proof of possession: the request is signed by its own key. Refusals, status 422: `certificationRequest.signatureAlgorithm`
 * for an algorithm that is not accepted or does not fit the key, `certificationRequest.signature`.
 */
export function verifyCertificationRequest(request: CertificationRequest): void {
  const matches = signatureMatches(request);
  if (matches === undefined) {
    throw refusal(
      "signatureAlgorithm",
      "must be signed with RSA (PKCS#1 v1.5 or PSS), ECDSA (each with SHA-256, SHA-384 or SHA-512) or Ed25519, as fits its key",
    );
  }
  if (!matches) {
    throw refusal("signature", "must be signed by the key that it holds");
  }
}

function refusal(code: string, message: string, cause?: unknown): LanyardError {
  return new LanyardError({ code: `certificationRequest.${code}`, message, httpStatus: 422, cause });
}

function decodeBlock(pem: string): Buffer {
  const base64 = PEM.exec(pem)?.[2]?.replaceAll(/\s/g, "") ?? "";
  const bytes = Buffer.from(base64, "base64");
  // The way back shows padding, alphabet and spare bits to be right.
  if (bytes.length === 0 || bytes.toString("base64") !== base64) {
    throw refusal("pem", "must be exactly one PEM block of type CERTIFICATE REQUEST");
  }
  return bytes;
}

function readRequest(der: Buffer): CertificationRequest {
  const [info, algorithm, signature, ...excess] = derChildren(
    expectDer(readDer(der), derTag.sequence, "a certification request"),
  );
  const [version, subject, publicKey, attributes, ...more] = derChildren(
    expectDer(info, derTag.sequence, "the request's content"),
  );
  if (info === undefined || excess.length > 0 || more.length > 0) {
    throw malformedDer("a certification request has three parts, its content four");
  }
  if (!expectDer(version, derTag.integer, "the version").content.equals(Buffer.alloc(1))) {
    throw malformedDer("the version is 0");
  }
  expectDer(subject, derTag.sequence, "the subject");
  for (const attribute of derChildren(expectDer(attributes, contextTag(0, true), "the attributes"))) {
    const [type, values, ...rest] = derChildren(expectDer(attribute, derTag.sequence, "an attribute"));
    expectDer(type, derTag.objectIdentifier, "an attribute's type");
    expectDer(values, derTag.set, "an attribute's values");
    if (rest.length > 0) {
      throw malformedDer("an attribute is a type and its values");
    }
  }
  const { bytes, unusedBits } = readDerBitString(signature, "the signature");
  if (unusedBits !== 0) {
    throw malformedDer("a signature is whole octets");
  }
  const publicKeyInfo = expectDer(publicKey, derTag.sequence, "the public key");
  return {
    der,
    info: info.raw,
    publicKeyInfo: publicKeyInfo.raw,
    publicKey: readPublicKey(publicKeyInfo),
    signatureAlgorithm: expectDer(algorithm, derTag.sequence, "the signature algorithm").raw,
    signature: bytes,
  };
}

function unusableKey(cause?: unknown): LanyardError {
  return refusal(
    "publicKey",
    "must hold a public key of RSA 2048 to 4096 bits with exponent 65537, P-256, P-384 or Ed25519",
    cause,
  );
}

function readPublicKey(info: DerElement): KeyObject {
  const [algorithm, key, ...excess] = derChildren(info);
  const { bytes, unusedBits } = readDerBitString(key, "the public key");
  if (excess.length > 0 || unusedBits !== 0) {
    throw malformedDer("a public key is an algorithm and whole octets");
  }
  if (!usable(expectDer(algorithm, derTag.sequence, "the key's algorithm").raw.toString("hex"), bytes)) {
    throw unusableKey();
  }
  try {
    const publicKey = createPublicKey({ key: info.raw, format: "der", type: "spki" });
    // Nothing may be read here in another way than it was checked above.
    if (publicKey.export({ format: "der", type: "spki" }).equals(info.raw)) {
      return publicKey;
    }
  } catch (error) {
    // Such as a point beside its curve.
    throw unusableKey(error);
  }
  throw unusableKey();
}

function usable(algorithm: string, key: Buffer): boolean {
  switch (algorithm) {
    case RSA:
      return usableRsa(key);
    case P256:
    case P384:
      return key.length === POINT_BYTES[algorithm] && key[0] === 0x04;
    case ED25519:
      return usableEd25519(key);
    default:
      return false;
  }
}

function usableRsa(key: Buffer): boolean {
  const [modulus, exponent, ...excess] = derChildren(
    expectDer(readDer(key), derTag.sequence, "an RSA public key"),
  );
  const n = readDerUnsigned(modulus, "the modulus");
  const bits = n.length * 8 - (Math.clz32(n[0] ?? 0) - 24);
  return (
    excess.length === 0 &&
    bits >= 2048 &&
    bits <= 4096 &&
    ((n.at(-1) ?? 0) & 1) === 1 &&
    readDerUnsigned(exponent, "the exponent").toString("hex") === "010001"
  );
}

function usableEd25519(key: Buffer): boolean {
  const y = Buffer.from(key);
  y[31] = (y[31] ?? 0) & 0x7f;
  return key.length === 32 && !SMALL_ORDER.has(y.toString("hex"));
}
