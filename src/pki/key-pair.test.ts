import assert from "node:assert/strict";
import { X509Certificate, createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { before, test } from "node:test";
import { createCertificateAuthority, issueServingCertificate } from "./certificate-authority.ts";
import { keyMatches, parseKeyPair, parseServingKeyPair, parseSigningAuthority } from "./key-pair.ts";
import type { KeyPairPem } from "./key-pair.ts";

const notBefore = new Date("2026-01-01T00:00:00Z");
const notAfter = new Date("2036-01-01T00:00:00Z");
let ca: KeyPairPem;
let other: KeyPairPem;
let serving: KeyPairPem;

before(async () => {
  ca = await createCertificateAuthority({ commonName: "CA", notBefore, notAfter });
  other = await createCertificateAuthority({ commonName: "Other", notBefore, notAfter });
  serving = await issueServingCertificate(ca, { dnsNames: ["x"], ipAddresses: [], notBefore, notAfter });
});

const refusal = (pair: Partial<KeyPairPem>, message: string | RegExp): void => {
  assert.throws(() => parseSigningAuthority({ ...ca, ...pair }), { name: "LanyardError", message });
};

test("a signing CA is refused in the contract's words", () => {
  refusal({ certificatePem: "" }, "could not load CA: tls: failed to find any PEM data in certificate input");
  refusal({ privateKeyPem: "" }, "could not load CA: tls: failed to find any PEM data in key input");
  refusal(
    { certificatePem: ca.privateKeyPem },
    'could not load CA: tls: failed to find "CERTIFICATE" PEM block in certificate input after skipping PEM blocks of the following types: [EC PRIVATE KEY]',
  );
  refusal(
    { privateKeyPem: ca.certificatePem },
    /^could not load CA: tls: failed to find PEM block with type ending in/,
  );
  refusal(
    { privateKeyPem: other.privateKeyPem },
    "could not load CA: tls: private key does not match public key",
  );
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({
    type: "pkcs1",
    format: "pem",
  });
  refusal({ privateKeyPem: rsa }, "could not load CA: tls: private key type does not match public key type");
  refusal(
    { certificatePem: ca.certificatePem + other.certificatePem },
    "invalid CA certificate: expected a single certificate, found 2 certificates",
  );
  refusal(serving, "invalid CA certificate: passed in key pair is not a CA");
  const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  refusal({ certificatePem: broken }, "could not load CA: x509: malformed certificate");
  const noKey = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
  refusal({ privateKeyPem: noKey }, "could not load CA: tls: failed to parse private key");
});

test("a good CA is read with its key, junk around the PEM included", () => {
  const { certificate, privateKey } = parseSigningAuthority({
    certificatePem: `# comment\n${ca.certificatePem}trailing`,
    privateKeyPem: `-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${ca.privateKeyPem}`,
  });
  assert.equal(certificate.isCa, true);
  assert.equal(privateKey.type, "private");
});

test("a key is read whatever its form and label", () => {
  const key = createPrivateKey(ca.privateKeyPem);
  for (const type of ["pkcs8", "sec1"] as const) {
    const pem = key.export({ type, format: "pem" });
    parseKeyPair({ ...ca, privateKeyPem: pem });
    parseKeyPair({ ...ca, privateKeyPem: pem.replaceAll(/(EC )?PRIVATE KEY/g, "RSA PRIVATE KEY") });
  }
});

test("a serving pair must not be a CA; its chain keeps its order", () => {
  assert.throws(() => parseServingKeyPair(ca), { code: "keyPair.servingIsCa" });
  const { chain } = parseServingKeyPair({
    ...serving,
    certificatePem: serving.certificatePem + ca.certificatePem,
  });
  assert.deepEqual(
    chain.map(({ isCa }) => isCa),
    [false, true],
  );
});

test("keyMatches knows private and public keys", () => {
  const certificate = new X509Certificate(ca.certificatePem);
  assert.equal(keyMatches(certificate, createPrivateKey(ca.privateKeyPem)), true);
  assert.equal(keyMatches(certificate, createPublicKey(ca.privateKeyPem)), true);
  assert.equal(keyMatches(certificate, createPrivateKey(other.privateKeyPem)), false);
  assert.equal(keyMatches(certificate, createPublicKey(other.privateKeyPem)), false);
});
