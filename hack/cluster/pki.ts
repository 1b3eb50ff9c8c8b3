import "reflect-metadata";
import { mkdirSync, writeFileSync } from "node:fs";
import { webcrypto } from "node:crypto";
import { join } from "node:path";

import * as x509 from "@peculiar/x509";

x509.cryptoProvider.set(webcrypto);

/** Paths of a PEM certificate and its PKCS#8 PEM key. */
export interface KeyPairFiles {
  readonly cert: string;
  readonly key: string;
}

/** A certificate authority whose key is in memory. */
export interface Authority extends KeyPairFiles {
  readonly certificate: x509.X509Certificate;
  readonly privateKey: CryptoKey;
}

/** What a leaf certificate says. */
export interface LeafOptions {
  /** File name without ending. */
  readonly name: string;
  readonly commonName: string;
  readonly organizations?: readonly string[];
  readonly usage: "client" | "server" | "both";
  readonly dnsNames?: readonly string[];
  readonly addresses?: readonly string[];
}

const rsa = {
  name: "RSASSA-PKCS1-v1_5",
  hash: "SHA-256",
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
};
const p256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const day = 86_400_000;

function generate(algorithm: typeof rsa | typeof p256): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
}

async function pem(key: CryptoKey, kind: "pkcs8" | "spki"): Promise<string> {
  const der = await webcrypto.subtle.exportKey(kind, key);
  return x509.PemConverter.encode(der, kind === "pkcs8" ? "PRIVATE KEY" : "PUBLIC KEY") + "\n";
}

function serial(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  // Positive and without leading zero bytes, as RFC 5280 4.1.2.2 asks.
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return Buffer.from(bytes).toString("hex");
}

function write(path: string, text: string): void {
  writeFileSync(path, text, { mode: 0o600 });
}

/** A self-signed authority of ten years, RSA 2048 like kubeadm's, written to `folder/NAME.crt` and `.key`. */
export async function createAuthority(folder: string, name: string, commonName: string): Promise<Authority> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const keys = await generate(rsa);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: [{ CN: [commonName] }],
    notBefore: new Date(Date.now() - 300_000),
    notAfter: new Date(Date.now() + 3650 * day),
    keys,
    signingAlgorithm: rsa,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.digitalSignature |
          x509.KeyUsageFlags.keyEncipherment |
          x509.KeyUsageFlags.keyCertSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      new x509.SubjectAlternativeNameExtension([{ type: "dns", value: commonName }]),
    ],
  });
  const files = { cert: join(folder, `${name}.crt`), key: join(folder, `${name}.key`) };
  write(files.cert, certificate.toString("pem") + "\n");
  write(files.key, await pem(keys.privateKey, "pkcs8"));
  return { ...files, certificate, privateKey: keys.privateKey };
}

/** A P-256 certificate of one year, written to `folder/NAME.crt` and `.key`. */
export async function issueLeaf(
  folder: string,
  authority: Authority,
  options: LeafOptions,
): Promise<KeyPairFiles> {
  const keys = await generate(p256);
  const usages: x509.ExtendedKeyUsage[] = [];
  if (options.usage !== "client") usages.push(x509.ExtendedKeyUsage.serverAuth);
  if (options.usage !== "server") usages.push(x509.ExtendedKeyUsage.clientAuth);
  const names: x509.JsonGeneralName[] = [
    ...(options.dnsNames ?? []).map((value) => ({ type: "dns" as const, value })),
    ...(options.addresses ?? []).map((value) => ({ type: "ip" as const, value })),
  ];
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: [
      ...(options.organizations ?? []).map((organization) => ({ O: [organization] })),
      { CN: [options.commonName] },
    ],
    issuer: authority.certificate.subject,
    notBefore: new Date(Date.now() - 300_000),
    notAfter: new Date(Date.now() + 365 * day),
    publicKey: keys.publicKey,
    signingKey: authority.privateKey,
    signingAlgorithm: rsa,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension(usages),
      await x509.AuthorityKeyIdentifierExtension.create(authority.certificate),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
    ],
  });
  const files = { cert: join(folder, `${options.name}.crt`), key: join(folder, `${options.name}.key`) };
  write(files.cert, certificate.toString("pem") + "\n");
  write(files.key, await pem(keys.privateKey, "pkcs8"));
  return files;
}

/** The key pair that signs ServiceAccount tokens: `sa.key` and `sa.pub`. */
export async function createServiceAccountKey(folder: string): Promise<{ key: string; publicKey: string }> {
  const keys = await generate(rsa);
  const files = { key: join(folder, "sa.key"), publicKey: join(folder, "sa.pub") };
  write(files.key, await pem(keys.privateKey, "pkcs8"));
  write(files.publicKey, await pem(keys.publicKey, "spki"));
  return files;
}
