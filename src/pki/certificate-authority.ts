import type { Extension, JsonGeneralNames } from "@peculiar/x509";
import { createPrivateKey, randomBytes, webcrypto } from "node:crypto";
import { LanyardError } from "../errors.ts";
import { extendedKeyUsage, parseCertificate } from "./certificate.ts";
import { parseSigningAuthority } from "./key-pair.ts";
import type { KeyPairPem } from "./key-pair.ts";
import { encodePem } from "./pem.ts";

/** Loaded when a certificate is made: a replica that finds all of them in their Secrets never needs it. */
async function loadX509(): Promise<typeof import("@peculiar/x509")> {
  // @peculiar/x509 throws at import unless the metadata API is there first.
  await import("reflect-metadata");
  return import("@peculiar/x509");
}

const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

export interface CertificateAuthorityRequest {
  readonly commonName: string;
  /** The caller backdates (contract 6.2: 5 minutes). */
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/**
 * A new self-signed CA as the contract generates them (6.2): P-256, KeyUsage digitalSignature and certSign, EKU clientAuth
 * and serverAuth, 128-bit serial. The key is PEM `EC PRIVATE KEY` (SEC 1).
 */
export async function createCertificateAuthority(request: CertificateAuthorityRequest): Promise<KeyPairPem> {
  const x509 = await loadX509();
  const keys = await generateKeys();
  // Structured names only: a plain string would be parsed, and `#…` in it would be DER.
  const name = new x509.Name([{ CN: [{ utf8String: request.commonName }] }]);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name,
      keys,
      serialNumber: randomSerialHex(),
      notBefore: wholeSeconds(request.notBefore),
      notAfter: wholeSeconds(request.notAfter),
      signingAlgorithm: P256,
      extensions: [
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyCertSign,
          true,
        ),
        new x509.ExtendedKeyUsageExtension([extendedKeyUsage.clientAuth, extendedKeyUsage.serverAuth]),
        new x509.BasicConstraintsExtension(true, undefined, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  const key = await exportPkcs8(keys.privateKey);
  const sec1 = createPrivateKey({ key, format: "der", type: "pkcs8" }).export({
    format: "der",
    type: "sec1",
  });
  return {
    certificatePem: encodePem("CERTIFICATE", new Uint8Array(certificate.rawData)),
    privateKeyPem: encodePem("EC PRIVATE KEY", sec1),
  };
}

export interface ServingCertificateRequest {
  readonly dnsNames: readonly string[];
  /** Textual IPv4 or IPv6 addresses. */
  readonly ipAddresses: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/**
 * A serving certificate of `authority` (contract 6.2): P-256, EKU serverAuth, no KeyUsage, no CN; its names are
 * SANs, critical because the subject is empty (RFC 5280 section 4.2.1.6). The key is PKCS #8. Refusals: those of
 * `parseSigningAuthority`, `certificateAuthority.keyUnsupported` for a CA key that is not P-256,
 * `certificateAuthority.nameUnsupported`, `certificate.names.missing`.
 */
export async function issueServingCertificate(
  authority: KeyPairPem,
  request: ServingCertificateRequest,
): Promise<KeyPairPem> {
  const { certificate: ca, privateKey } = parseSigningAuthority(authority);
  if (privateKey.asymmetricKeyDetails?.namedCurve !== "prime256v1") {
    throw new LanyardError({
      code: "certificateAuthority.keyUnsupported",
      message: "invalid CA key: serving certificates are signed with P-256",
    });
  }
  const names: JsonGeneralNames = [
    ...request.dnsNames.map((value) => ({ type: "dns" as const, value })),
    ...request.ipAddresses.map((value) => ({ type: "ip" as const, value })),
  ];
  if (names.length === 0) {
    throw new LanyardError({
      code: "certificate.names.missing",
      message: "a serving certificate needs at least one DNS name or IP address",
    });
  }
  const x509 = await loadX509();
  const keys = await generateKeys();
  const extensions: Extension[] = [
    new x509.ExtendedKeyUsageExtension([extendedKeyUsage.serverAuth]),
    new x509.BasicConstraintsExtension(false, undefined, true),
  ];
  if (ca.subjectKeyId !== undefined) {
    extensions.push(new x509.AuthorityKeyIdentifierExtension(ca.subjectKeyId.toString("hex"), false));
  }
  extensions.push(new x509.SubjectAlternativeNameExtension(names, true));
  const signingKey = await webcrypto.subtle.importKey(
    "pkcs8",
    privateKey.export({ format: "der", type: "pkcs8" }),
    P256,
    false,
    ["sign"],
  );
  const certificate = await x509.X509CertificateGenerator.create(
    {
      subject: [],
      // The parsed name and never its text, so that the bytes come out as they went in.
      issuer: new x509.Name(ca.subject),
      publicKey: keys.publicKey,
      signingKey,
      serialNumber: randomSerialHex(),
      notBefore: wholeSeconds(request.notBefore),
      notAfter: wholeSeconds(request.notAfter),
      signingAlgorithm: P256,
      extensions,
    },
    webcrypto,
  );
  const der = new Uint8Array(certificate.rawData);
  if (!parseCertificate(der).issuer.equals(ca.subject)) {
    throw new LanyardError({
      code: "certificateAuthority.nameUnsupported",
      message: "invalid CA certificate: its subject does not survive encoding",
    });
  }
  return {
    certificatePem: encodePem("CERTIFICATE", der),
    privateKeyPem: encodePem("PRIVATE KEY", await exportPkcs8(keys.privateKey)),
  };
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return await webcrypto.subtle.generateKey(P256, true, ["sign", "verify"]);
}

async function exportPkcs8(key: webcrypto.CryptoKey): Promise<Buffer> {
  return Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key));
}

function wholeSeconds(time: Date): Date {
  return new Date(Math.floor(time.getTime() / 1000) * 1000);
}

/** 128 bits, positive, without a leading zero octet. */
function randomSerialHex(): string {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  return serial.toString("hex");
}
