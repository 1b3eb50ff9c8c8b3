import type { webcrypto as WebCrypto } from "node:crypto";
import { randomBytes, webcrypto } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { encodePem } from "../../pki/pem.ts";
import type { ServingPair } from "../../tls/profiles.ts";

const RSA = {
  name: "RSASSA-PKCS1-v1_5",
  modulusLength: 2048,
  publicExponent: Uint8Array.of(1, 0, 1),
  hash: "SHA-256",
} as const;
const HOUR = 3_600_000;
const YEAR = 365 * 24 * HOUR;

/**
 * The self-signed RSA certificate that TLS 1.2 clients without ECDSA get (contract 7.9). Nobody trusts it: it exists in
 * memory only, so that such a client fails at the certificate, as it does elsewhere. The key is made off the event loop (L1).
 */
export async function createLoopbackCertificate(clock: Clock): Promise<ServingPair> {
  await import("reflect-metadata");
  const x509 = await import("@peculiar/x509");
  const keys: WebCrypto.CryptoKeyPair = await webcrypto.subtle.generateKey(RSA, true, ["sign", "verify"]);
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  const name = "apiserver-loopback-client";
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      name: new x509.Name([{ CN: [{ utf8String: name }] }]),
      keys,
      serialNumber: serial.toString("hex"),
      notBefore: new Date(clock.now() - HOUR),
      notAfter: new Date(clock.now() + YEAR),
      signingAlgorithm: RSA,
      extensions: [
        new x509.ExtendedKeyUsageExtension(["1.3.6.1.5.5.7.3.1"]),
        new x509.SubjectAlternativeNameExtension([{ type: "dns", value: name }]),
      ],
    },
    webcrypto,
  );
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
  return {
    certificateChainPem: encodePem("CERTIFICATE", new Uint8Array(certificate.rawData)),
    privateKeyPem: encodePem("PRIVATE KEY", pkcs8),
  };
}
