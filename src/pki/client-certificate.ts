import { createPublicKey, hash, randomFillSync } from "node:crypto";
import { LanyardError } from "../errors.ts";
import { requireCertificateSays } from "./certificate-check.ts";
import { extendedKeyUsage } from "./certificate.ts";
import type { Certificate } from "./certificate.ts";
import {
  derBitString,
  derBoolean,
  derContext,
  derContextPrimitive,
  derInteger,
  derObjectIdentifier,
  derOctetString,
  derSequence,
  derTime,
} from "./der.ts";
import { encodeClientSubject } from "./distinguished-name.ts";
import { parseSigningAuthority } from "./key-pair.ts";
import type { KeyPairPem } from "./key-pair.ts";
import { generateP256KeyPair } from "./p256-key-pair.ts";
import { encodePem } from "./pem.ts";
import { createCertificateSigner } from "./signature-algorithm.ts";

/**
 * Largest certificate minted, in bytes of DER. Three things end at 64 KiB: handshake messages in older versions of Go; session
 * tickets in Go, which hold every certificate that came, at 65,407 bytes of a lone leaf; and session tickets in OpenSSL, at 65,113.
 * Clients with OpenSSL send the CA's certificate along when they have it, so room is left for one of 1,400 bytes.
 */
export const MAXIMUM_CLIENT_CERTIFICATE_BYTES = 64_000;

/** One client certificate to mint. */
export interface ClientCertificateRequest {
  /** Becomes CN. */
  readonly username: string;
  /** Become the values of O, in one relative distinguished name. */
  readonly groups: readonly string[];
  /** Whole seconds count; the rest is cut off. */
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** SubjectPublicKeyInfo, DER, of a key that the caller holds; absent: a P-256 pair is made. */
  readonly publicKeySpki?: Uint8Array | undefined;
}

export interface IssuedClientCertificate {
  /** The leaf alone (contract 2.4). */
  readonly certificatePem: string;
  /** PKCS #8 `PRIVATE KEY`; undefined when the caller brought the public key. */
  readonly privateKeyPem: string | undefined;
  readonly der: Buffer;
  readonly serialHex: string;
  /** Computed when asked. */
  readonly sha256Hex: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** Mints the leaf of contract 2.4 with one CA. */
export interface ClientCertificateIssuer {
  readonly caCertificate: Certificate;
  readonly caNotAfter: Date;
  /**
   * Refusals, status 422: `certificate.subject.empty` (username or a group), `certificate.subject.controlCharacter`,
   * `certificate.subject.unicode`, `certificate.subject.tooLarge`, `certificate.validity.invalid` (NotAfter not behind
   * NotBefore), `certificate.validity.exceedsCa` (NotAfter behind the CA's), `certificate.publicKey.invalid`.
   */
  issue(request: ClientCertificateRequest): Promise<IssuedClientCertificate>;
}

const VERSION_3 = derContext(0, derInteger(2));
const EXTENDED_KEY_USAGE = derSequence(
  derObjectIdentifier("2.5.29.37"),
  derOctetString(derSequence(derObjectIdentifier(extendedKeyUsage.clientAuth))),
);
const NOT_A_CA = derSequence(
  derObjectIdentifier("2.5.29.19"),
  derBoolean(true),
  derOctetString(derSequence()),
);
const AUTHORITY_KEY_ID = derObjectIdentifier("2.5.29.35");

/**
 * Prepares everything that does not change between two certificates. Refusals: those of `parseSigningAuthority` and
 * `certificateAuthority.keyUnsupported`.
 */
export function createClientCertificateIssuer(authority: KeyPairPem): ClientCertificateIssuer {
  const { certificate: caCertificate, privateKey } = parseSigningAuthority(authority);
  const signer = createCertificateSigner(privateKey);
  const extensions = encodeExtensions(caCertificate.subjectKeyId);
  const issuer = Buffer.from(caCertificate.subject);

  const issue = async (request: ClientCertificateRequest): Promise<IssuedClientCertificate> => {
    const { username, groups } = request;
    refuseUnusableNames(username, groups);
    const notBefore = wholeSeconds(request.notBefore);
    const notAfter = wholeSeconds(request.notAfter);
    refuseUnusableValidity(notBefore, notAfter, caCertificate.notAfter);
    const keyPair =
      request.publicKeySpki === undefined
        ? generateP256KeyPair()
        : { spki: canonicalSpki(request.publicKeySpki) };
    const subject = encodeClientSubject(username, groups);
    const serial = randomSerial();
    const content = derSequence(
      VERSION_3,
      derInteger(serial),
      signer.algorithm,
      issuer,
      derSequence(derTime(notBefore), derTime(notAfter)),
      subject,
      keyPair.spki,
      extensions,
    );
    const signature = signer.sign(content);
    const der = derSequence(
      content,
      signer.algorithm,
      derBitString(Buffer.isBuffer(signature) ? signature : await signature),
    );
    if (der.length > MAXIMUM_CLIENT_CERTIFICATE_BYTES) {
      throw tooLarge();
    }
    requireCertificateSays(der, request, keyPair.spki);
    return {
      certificatePem: encodePem("CERTIFICATE", der),
      privateKeyPem: "pkcs8" in keyPair ? encodePem("PRIVATE KEY", keyPair.pkcs8) : undefined,
      der,
      serialHex: serial.toString("hex"),
      get sha256Hex() {
        return hash("sha256", der, "hex");
      },
      notBefore,
      notAfter,
    };
  };
  return { caCertificate, caNotAfter: caCertificate.notAfter, issue };
}

/** EKU clientAuth, critical BasicConstraints CA=false and, if the CA has a key identifier, AKI (contract 2.4). */
function encodeExtensions(caKeyId: Uint8Array | undefined): Buffer {
  const list = [EXTENDED_KEY_USAGE, NOT_A_CA];
  if (caKeyId !== undefined) {
    list.push(derSequence(AUTHORITY_KEY_ID, derOctetString(derSequence(derContextPrimitive(0, caKeyId)))));
  }
  return derContext(3, derSequence(...list));
}

const SERIAL_BYTES = 16;
/** A call of the random generator costs as much for one serial as for many. */
const serials = Buffer.alloc(SERIAL_BYTES * 128);
let nextSerial = serials.length;

/** 128 random bits, positive, never zero; used once. */
function randomSerial(): Buffer {
  if (nextSerial === serials.length) {
    randomFillSync(serials);
    nextSerial = 0;
  }
  const serial = Buffer.from(serials.subarray(nextSerial, nextSerial + SERIAL_BYTES));
  nextSerial += SERIAL_BYTES;
  // Keeps the serial at 16 octets whatever the draw: no sign octet in front, no leading zeros to drop.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  return serial;
}

function refusal(code: string, message: string): LanyardError {
  return new LanyardError({ code, message, httpStatus: 422 });
}

function tooLarge(): LanyardError {
  return refusal(
    "certificate.subject.tooLarge",
    `username and groups do not fit into a client certificate of ${MAXIMUM_CLIENT_CERTIFICATE_BYTES} bytes`,
  );
}

const CONTROL_CHARACTER = /\p{Cc}/u;

/**
 * Refuses names that no client certificate can hold: `certificate.subject.empty`, `certificate.subject.controlCharacter`,
 * `certificate.subject.unicode`, `certificate.subject.tooLarge`, all with status 422.
 */
export function refuseUnusableNames(username: string, groups: readonly string[]): void {
  refuseUnusableName("username", username);
  let bytes = username.length;
  for (const group of groups) {
    bytes += group.length;
    if (bytes > MAXIMUM_CLIENT_CERTIFICATE_BYTES) {
      // Said before anything is encoded, so that refusing stays cheap (L4).
      throw tooLarge();
    }
    refuseUnusableName("group", group);
  }
}

function refuseUnusableName(what: "username" | "group", name: string): void {
  if (name === "") {
    throw refusal("certificate.subject.empty", `a client certificate cannot hold an empty ${what}`);
  }
  if (name.length > MAXIMUM_CLIENT_CERTIFICATE_BYTES) {
    throw tooLarge();
  }
  if (!name.isWellFormed()) {
    throw refusal("certificate.subject.unicode", `the ${what} is not well-formed Unicode`);
  }
  if (CONTROL_CHARACTER.test(name)) {
    throw refusal("certificate.subject.controlCharacter", `the ${what} contains a control character`);
  }
}

function wholeSeconds(time: Date): Date {
  return new Date(Math.floor(time.getTime() / 1000) * 1000);
}

function refuseUnusableValidity(notBefore: Date, notAfter: Date, caNotAfter: Date): void {
  if (!(notBefore.getTime() < notAfter.getTime())) {
    throw refusal("certificate.validity.invalid", "a client certificate must end after it begins");
  }
  if (notAfter.getTime() > caNotAfter.getTime()) {
    throw refusal("certificate.validity.exceedsCa", "a client certificate cannot outlive its CA certificate");
  }
}

/** Only the key is taken over, in its canonical form. */
function canonicalSpki(spki: Uint8Array): Buffer {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" }).export({
      format: "der",
      type: "spki",
    });
  } catch {
    throw refusal("certificate.publicKey.invalid", "the public key is not a usable SubjectPublicKeyInfo");
  }
}
