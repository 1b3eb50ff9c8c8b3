import { createPrivateKey, generateKeyPairSync, sign, X509Certificate } from "node:crypto";
import type { KeyObject } from "node:crypto";
import type { TestClientCertificate } from "../../../src/concierge/api/testing/harness.ts";
import { parseCertificate } from "../../../src/pki/certificate.ts";
import * as der from "../../../src/pki/der.ts";
import type { KeyPairPem } from "../../../src/pki/key-pair.ts";
import { encodePem } from "../../../src/pki/pem.ts";

export const COMMON_NAME = "2.5.4.3";
export const ORGANIZATION = "2.5.4.10";
export const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const MD5_WITH_RSA = "1.2.840.113549.1.1.4";
const SHA256_WITH_RSA = "1.2.840.113549.1.1.11";
const SHA1_WITH_ECDSA = "1.2.840.10045.4.1";
const SHA256_WITH_ECDSA = "1.2.840.10045.4.3.2";

/** One attribute: its type, and its value as text for a UTF8String or as a whole element. */
export type Attribute = readonly [type: string, value: string | Buffer];

export interface OddWish {
  /** One RDN each; a list of attributes makes a multi-valued RDN. */
  readonly subject?: readonly (Attribute | readonly Attribute[])[];
  readonly ca?: boolean;
  readonly usages?: readonly string[];
  readonly hash?: "sha256" | "sha1" | "md5";
  /** Of the leaf's key; P-256 otherwise. */
  readonly curve?: string;
  readonly rsaBits?: number;
  readonly extensions?: readonly Buffer[];
  /** Signs with its own key, and says that `authority` did. */
  readonly selfSigned?: boolean;
}

export const extension = (id: string, value: Buffer, critical = false): Buffer =>
  der.derSequence(
    der.derObjectIdentifier(id),
    ...(critical ? [der.derBoolean(true)] : []),
    der.derOctetString(value),
  );

const isAttribute = (rdn: Attribute | readonly Attribute[]): rdn is Attribute => typeof rdn[0] === "string";

function nameOf(subject: NonNullable<OddWish["subject"]>): Buffer {
  return der.derSequence(
    ...subject.map((rdn) =>
      der.derSetOf(
        (isAttribute(rdn) ? [rdn] : rdn).map(([type, value]) =>
          der.derSequence(
            der.derObjectIdentifier(type),
            typeof value === "string" ? der.derUtf8String(value) : value,
          ),
        ),
      ),
    ),
  );
}

/** A client certificate, right or wrong: our own issuers make only right ones. Valid for an hour before and after now. */
export function oddCertificate(
  authority: KeyPairPem,
  wish: OddWish = {},
): TestClientCertificate & KeyPairPem {
  const issuer = parseCertificate(new X509Certificate(authority.certificatePem).raw);
  const { privateKey, publicKey } =
    wish.rsaBits === undefined
      ? generateKeyPairSync("ec", { namedCurve: wish.curve ?? "P-256" })
      : generateKeyPairSync("rsa", { modulusLength: wish.rsaBits });
  const signer: KeyObject = wish.selfSigned === true ? privateKey : createPrivateKey(authority.privateKeyPem);
  const hash = wish.hash ?? "sha256";
  const rsa = signer.asymmetricKeyType === "rsa";
  const algorithm = der.derSequence(
    der.derObjectIdentifier(
      rsa
        ? hash === "md5"
          ? MD5_WITH_RSA
          : SHA256_WITH_RSA
        : hash === "sha1"
          ? SHA1_WITH_ECDSA
          : SHA256_WITH_ECDSA,
    ),
    ...(rsa ? [der.derNull()] : []),
  );
  const usages = wish.usages ?? [CLIENT_AUTH];
  const extensions = [
    ...(wish.ca === undefined
      ? []
      : [extension("2.5.29.19", der.derSequence(...(wish.ca ? [der.derBoolean(true)] : [])), true)]),
    ...(usages.length === 0
      ? []
      : [extension("2.5.29.37", der.derSequence(...usages.map((id) => der.derObjectIdentifier(id))))]),
    ...(wish.extensions ?? []),
  ];
  const now = Date.now();
  const content = der.derSequence(
    der.derContext(0, der.derInteger(2)),
    der.derInteger(Math.floor(Math.random() * 1e9) + 1),
    algorithm,
    Buffer.from(issuer.subject),
    der.derSequence(der.derTime(new Date(now - HOUR)), der.derTime(new Date(now + HOUR))),
    nameOf(wish.subject ?? [[COMMON_NAME, "mallory"]]),
    publicKey.export({ type: "spki", format: "der" }),
    ...(extensions.length === 0 ? [] : [der.derContext(3, der.derSequence(...extensions))]),
  );
  const bytes = der.derSequence(content, algorithm, der.derBitString(sign(hash, content, signer)));
  const pair = {
    certificatePem: encodePem("CERTIFICATE", bytes),
    privateKeyPem: privateKey.export({ type: "pkcs8", format: "pem" }),
  };
  return {
    ...pair,
    cert: pair.certificatePem,
    key: pair.privateKeyPem,
    sha256Hex: new X509Certificate(bytes).fingerprint256.replaceAll(":", "").toLowerCase(),
  };
}

/** A good certificate with that subject, one RDN per attribute. */
export function withSubject(
  authority: KeyPairPem,
  subject: NonNullable<OddWish["subject"]>,
): TestClientCertificate {
  return oddCertificate(authority, { subject });
}

/** A CA with an RSA key, for signatures that elliptic curves have no names for. */
export function rsaAuthority(commonName: string): KeyPairPem {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const algorithm = der.derSequence(der.derObjectIdentifier(SHA256_WITH_RSA), der.derNull());
  const name = nameOf([[COMMON_NAME, commonName]]);
  const now = Date.now();
  const content = der.derSequence(
    der.derContext(0, der.derInteger(2)),
    der.derInteger(1),
    algorithm,
    name,
    der.derSequence(der.derTime(new Date(now - DAY)), der.derTime(new Date(now + DAY))),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    der.derContext(
      3,
      der.derSequence(
        extension("2.5.29.19", der.derSequence(der.derBoolean(true)), true),
        extension("2.5.29.15", der.derBitString(Buffer.from([0x86]), 1), true),
      ),
    ),
  );
  const bytes = der.derSequence(content, algorithm, der.derBitString(sign("sha256", content, privateKey)));
  return {
    certificatePem: encodePem("CERTIFICATE", bytes),
    privateKeyPem: privateKey.export({ type: "pkcs8", format: "pem" }),
  };
}

/** Text elements that are no UTF8String. */
export const bmpString = (text: string): Buffer =>
  der.derElement(0x1e, Buffer.from(text, "utf16le").swap16());
export const t61String = (text: string): Buffer => der.derElement(0x14, Buffer.from(text, "latin1"));
export const printableString = (text: string): Buffer => der.derElement(0x13, Buffer.from(text, "latin1"));
