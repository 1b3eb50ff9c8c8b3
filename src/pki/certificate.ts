import { X509Certificate, createHash } from "node:crypto";
import { LanyardError } from "../errors.ts";
import { contextTag, derTag } from "./der.ts";
import {
  derChildren,
  expectDer,
  malformedDer,
  readDer,
  readDerBitString,
  readDerBoolean,
  readDerObjectIdentifier,
  readDerTime,
  readDerUnsigned,
} from "./der-reader.ts";
import type { DerElement } from "./der-reader.ts";
import { readSubject } from "./distinguished-name.ts";
import type { CertificateSubject } from "./distinguished-name.ts";
import { decodePem } from "./pem.ts";

const EXTENSION_SUBJECT_KEY_ID = "2.5.29.14";
const EXTENSION_KEY_USAGE = "2.5.29.15";
const EXTENSION_SUBJECT_ALT_NAME = "2.5.29.17";
const EXTENSION_BASIC_CONSTRAINTS = "2.5.29.19";
const EXTENSION_NAME_CONSTRAINTS = "2.5.29.30";
const EXTENSION_EXTENDED_KEY_USAGE = "2.5.29.37";
/** Critical extensions that are understood, or that Go too accepts without acting on them. */
const UNDERSTOOD_EXTENSIONS = new Set([
  EXTENSION_SUBJECT_KEY_ID,
  EXTENSION_KEY_USAGE,
  EXTENSION_SUBJECT_ALT_NAME,
  EXTENSION_BASIC_CONSTRAINTS,
  EXTENSION_NAME_CONSTRAINTS,
  EXTENSION_EXTENDED_KEY_USAGE,
]);

/** Extended key usages (RFC 5280 section 4.2.1.12). */
export const extendedKeyUsage = {
  any: "2.5.29.37.0",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
} as const;

/** What decisions about a certificate need, read from its DER and never from a printed form (T13). */
export interface Certificate {
  /** The whole certificate. */
  readonly der: Buffer;
  readonly sha256Hex: string;
  readonly serialHex: string;
  /** Raw DER names; two names are the same when these bytes are. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKeySpki: Buffer;
  /** Object identifier of the signature's algorithm. */
  readonly signatureAlgorithm: string;
  /** BasicConstraints says CA. */
  readonly isCa: boolean;
  /** Undefined: no limit. */
  readonly maximumPathLength: number | undefined;
  /** Undefined: no KeyUsage extension. */
  readonly keyUsage: { readonly digitalSignature: boolean; readonly certSign: boolean } | undefined;
  /** Object identifiers; undefined: no extension, any usage. */
  readonly extendedKeyUsages: readonly string[] | undefined;
  readonly subjectKeyId: Buffer | undefined;
  readonly hasSubjectAltName: boolean;
  readonly hasNameConstraints: boolean;
  /** Critical extensions that nothing here understands; a verifier must refuse such a certificate. */
  readonly unknownCriticalExtensions: readonly string[];
  /** Node's view, for signatures. */
  readonly x509: X509Certificate;
}

function malformedCertificate(cause: unknown): LanyardError {
  const what = cause instanceof Error ? cause.message : "unknown";
  return new LanyardError({
    code: "certificate.malformed",
    message: `malformed certificate: ${what}`,
    httpStatus: 400,
    cause,
  });
}

/** Reads one certificate. Refusal: `certificate.malformed` for anything but one strict DER X.509 version 1 to 3 certificate. */
export function parseCertificate(source: Uint8Array | X509Certificate): Certificate {
  try {
    const x509 = source instanceof X509Certificate ? source : new X509Certificate(source);
    const der = source instanceof X509Certificate ? source.raw : Buffer.from(source);
    return readCertificate(der, x509);
  } catch (error) {
    throw malformedCertificate(error);
  }
}

function readCertificate(der: Buffer, x509: X509Certificate): Certificate {
  const [tbs, algorithm, signature, ...excess] = derChildren(
    expectDer(readDer(der), derTag.sequence, "a certificate"),
  );
  readDerBitString(signature, "the signature");
  if (excess.length > 0) {
    throw malformedDer("a certificate has three parts");
  }
  const fields = derChildren(expectDer(tbs, derTag.sequence, "the certificate's content"));
  if (fields[0]?.tag === contextTag(0, true)) {
    fields.shift();
  }
  const [serial, innerAlgorithm, issuer, validity, subject, publicKey, ...optional] = fields;
  if (algorithm === undefined || innerAlgorithm?.raw.equals(algorithm.raw) !== true) {
    throw malformedDer("the inner and the outer signature algorithm differ");
  }
  const [algorithmIdentifier] = derChildren(expectDer(algorithm, derTag.sequence, "the signature algorithm"));
  const times = derChildren(expectDer(validity, derTag.sequence, "the validity"));
  return {
    der,
    x509,
    sha256Hex: fingerprintHex(der),
    serialHex: expectDer(serial, derTag.integer, "the serial number").content.toString("hex"),
    issuer: expectDer(issuer, derTag.sequence, "the issuer").raw,
    subject: expectDer(subject, derTag.sequence, "the subject").raw,
    notBefore: readDerTime(times[0], "NotBefore"),
    notAfter: readDerTime(times[1], "NotAfter"),
    publicKeySpki: expectDer(publicKey, derTag.sequence, "the public key").raw,
    signatureAlgorithm: readDerObjectIdentifier(algorithmIdentifier, "the signature algorithm"),
    ...readExtensions(optional.find(({ tag }) => tag === contextTag(3, true))),
  };
}

type Extensions = Pick<
  Certificate,
  | "isCa"
  | "maximumPathLength"
  | "keyUsage"
  | "extendedKeyUsages"
  | "subjectKeyId"
  | "hasSubjectAltName"
  | "hasNameConstraints"
  | "unknownCriticalExtensions"
>;

function readExtensions(wrapper: DerElement | undefined): Extensions {
  const values = new Map<string, Buffer>();
  const unknownCriticalExtensions: string[] = [];
  const list = wrapper === undefined ? [] : derChildren(readDer(wrapper.content));
  for (const extension of list) {
    const [type, ...rest] = derChildren(expectDer(extension, derTag.sequence, "an extension"));
    const identifier = readDerObjectIdentifier(type, "an extension's type");
    const critical =
      rest[0]?.tag === derTag.boolean && readDerBoolean(rest[0], "an extension's critical flag");
    if (values.has(identifier)) {
      throw malformedDer(`extension ${identifier} occurs twice`);
    }
    values.set(identifier, expectDer(rest.at(-1), derTag.octetString, "an extension's value").content);
    if (critical && !UNDERSTOOD_EXTENSIONS.has(identifier)) {
      unknownCriticalExtensions.push(identifier);
    }
  }
  const keyId = values.get(EXTENSION_SUBJECT_KEY_ID);
  return {
    ...readBasicConstraints(values.get(EXTENSION_BASIC_CONSTRAINTS)),
    keyUsage: readKeyUsage(values.get(EXTENSION_KEY_USAGE)),
    extendedKeyUsages: readExtendedKeyUsages(values.get(EXTENSION_EXTENDED_KEY_USAGE)),
    subjectKeyId:
      keyId && expectDer(readDer(keyId), derTag.octetString, "the subject key identifier").content,
    hasSubjectAltName: values.has(EXTENSION_SUBJECT_ALT_NAME),
    hasNameConstraints: values.has(EXTENSION_NAME_CONSTRAINTS),
    unknownCriticalExtensions,
  };
}

function readBasicConstraints(value: Buffer | undefined): Pick<Extensions, "isCa" | "maximumPathLength"> {
  if (value === undefined) {
    return { isCa: false, maximumPathLength: undefined };
  }
  const parts = derChildren(expectDer(readDer(value), derTag.sequence, "basic constraints"));
  const flag = parts[0]?.tag === derTag.boolean ? parts.shift() : undefined;
  const isCa = flag !== undefined && readDerBoolean(flag, "the CA flag");
  const [limit] = parts;
  const maximumPathLength =
    limit === undefined
      ? undefined
      : Number(`0x${readDerUnsigned(limit, "the path length").toString("hex")}`);
  return { isCa, maximumPathLength };
}

function readKeyUsage(value: Buffer | undefined): Extensions["keyUsage"] {
  if (value === undefined) {
    return undefined;
  }
  const first = readDerBitString(readDer(value), "key usage").bytes[0] ?? 0;
  return { digitalSignature: (first & 0x80) !== 0, certSign: (first & 0x04) !== 0 };
}

function readExtendedKeyUsages(value: Buffer | undefined): readonly string[] | undefined {
  return (
    value &&
    derChildren(expectDer(readDer(value), derTag.sequence, "extended key usage")).map((usage) =>
      readDerObjectIdentifier(usage, "an extended key usage"),
    )
  );
}

/** SHA-256 of a certificate's DER, lower-case hex: the value behind `X509SHA256=` (contract 7.3). */
export function fingerprintHex(der: Uint8Array): string {
  return createHash("sha256").update(der).digest("hex");
}

/** The user that a certificate's subject names; refusals as of `parseCertificate` and `readSubject`. */
export function subjectOf(certificate: Certificate | Uint8Array): CertificateSubject {
  return readSubject(
    certificate instanceof Uint8Array ? parseCertificate(certificate).subject : certificate.subject,
  );
}

/**
 * The certificates of a PEM bundle in order; other blocks and text between them are skipped, as in Go's
 * `AppendCertsFromPEM`, and so is a block that does not parse. An empty answer means that nothing may be trusted.
 */
export function parseCertificateBundle(pem: string): Certificate[] {
  const certificates: Certificate[] = [];
  for (const { type, bytes } of decodePem(pem)) {
    if (type !== "CERTIFICATE") {
      continue;
    }
    try {
      certificates.push(parseCertificate(bytes));
    } catch {
      // One unusable certificate must not take the others' trust away.
    }
  }
  return certificates;
}
