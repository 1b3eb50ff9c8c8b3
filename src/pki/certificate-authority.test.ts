import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate, createPrivateKey } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, connect } from "node:tls";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { oracleCertificate } from "../../test/oracle/oracle.ts";
import { createCertificateAuthority, issueServingCertificate } from "./certificate-authority.ts";
import { parseCertificate } from "./certificate.ts";
import { decodePem } from "./pem.ts";

const start = Math.floor(Date.now() / 1000) * 1000;
const notBefore = new Date(start - 300_000);
const notAfter = new Date(start + 3_600_000);
let folder: string;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "lanyard-ca-"));
});
after(() => rmSync(folder, { recursive: true }));

test("a CA has the shape of contract 6.2 and its name is never parsed", async () => {
  for (const commonName of ["Pinniped Aggregation CA", "#0c0561646d696e", "a+CN=b, O=c", "é中😀"]) {
    const ca = await createCertificateAuthority({ commonName, notBefore, notAfter });
    const go = await oracleCertificate(ca.certificatePem);
    assert.equal(go.commonName, commonName);
    assert.equal(go.rdns.length, 1);
    assert.equal(go.subjectHex, go.issuerHex);
    assert.deepEqual([go.isCA, go.basicConstraintsValid, go.keyUsage], [true, true, 1 | 32]);
    assert.deepEqual(go.extKeyUsage, [2, 1]);
    assert.equal(go.extensions.find(({ id }) => id === "2.5.29.19")?.critical, true);
    assert.equal(go.subjectKeyIdHex.length, 40);
    assert.equal(go.serialHex.length, 32);
    assert.equal(go.serialSign, 1);
    assert.equal(go.notBeforeUnix, notBefore.getTime() / 1000);
    assert.equal(go.notAfterUnix, notAfter.getTime() / 1000);
    assert.match(ca.privateKeyPem, /^-----BEGIN EC PRIVATE KEY-----\n/);
    const key = createPrivateKey(ca.privateKeyPem);
    assert.equal(key.asymmetricKeyDetails?.namedCurve, "prime256v1");
    assert.ok(new X509Certificate(ca.certificatePem).checkPrivateKey(key));
  }
});

test("a serving certificate has names only as critical SANs, EKU serverAuth and no KeyUsage", async () => {
  const ca = await createCertificateAuthority({ commonName: "CA", notBefore, notAfter });
  const serving = await issueServingCertificate(ca, {
    dnsNames: ["lanyard-api.ns.svc", "lanyard-api.ns.svc.cluster.local"],
    ipAddresses: ["127.0.0.1", "fd00::1"],
    notBefore,
    notAfter,
  });
  const caFile = join(folder, "ca.pem");
  writeFileSync(caFile, ca.certificatePem);
  const go = await oracleCertificate(serving.certificatePem, "-ca", caFile, "-usage", "server");
  assert.equal(go.verifyError, "");
  assert.deepEqual(go.rdns, []);
  assert.deepEqual(go.dnsNames, ["lanyard-api.ns.svc", "lanyard-api.ns.svc.cluster.local"]);
  assert.deepEqual(go.ipAddresses, ["127.0.0.1", "fd00::1"]);
  assert.deepEqual(go.extKeyUsage, [1]);
  assert.equal(go.keyUsage, 0);
  assert.equal(go.isCA, false);
  assert.equal(go.extensions.find(({ id }) => id === "2.5.29.17")?.critical, true);
  assert.equal(go.authorityKeyIdHex, (await oracleCertificate(ca.certificatePem)).subjectKeyIdHex);
  assert.match(serving.privateKeyPem, /^-----BEGIN PRIVATE KEY-----\n/);
  // The wrong usage must not pass, or the check above would say nothing.
  const asClient = await oracleCertificate(serving.certificatePem, "-ca", caFile, "-usage", "client");
  assert.match(asClient.verifyError ?? "", /incompatible key usage/);
});

test("Node accepts the pair as a server", async () => {
  const ca = await createCertificateAuthority({ commonName: "CA", notBefore, notAfter });
  const serving = await issueServingCertificate(ca, {
    dnsNames: ["a.example"],
    ipAddresses: [],
    notBefore,
    notAfter,
  });
  const server = createServer({ cert: serving.certificatePem, key: serving.privateKeyPem }).listen(
    0,
    "127.0.0.1",
  );
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const socket = connect({ port, host: "127.0.0.1", servername: "a.example", ca: [ca.certificatePem] });
  await once(socket, "secureConnect");
  assert.equal(socket.authorized, true);
  socket.destroy();
  server.close();
  await once(server, "close");
});

test("the issuer's name is copied byte for byte from a foreign CA", async () => {
  const key = join(folder, "f.key");
  const cert = join(folder, "f.pem");
  execFileSync(
    "openssl",
    [
      ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8"],
      ...["-multivalue-rdn", "-subj", "/C=DE/O=#0c01/OU=a+OU=b/CN=Ünïcode", "-keyout", key, "-out", cert],
    ],
    { stdio: "pipe" },
  );
  const foreign = { certificatePem: readFileSync(cert, "utf8"), privateKeyPem: readFileSync(key, "utf8") };
  const serving = await issueServingCertificate(foreign, {
    dnsNames: ["x"],
    ipAddresses: [],
    notBefore,
    notAfter,
  });
  const parse = (pem: string): ReturnType<typeof parseCertificate> =>
    parseCertificate(decodePem(pem)[0]?.bytes ?? Buffer.alloc(0));
  assert.deepEqual(parse(serving.certificatePem).issuer, parse(foreign.certificatePem).subject);
});

test("a serving certificate without names, or of something that is no CA, is refused", async () => {
  const ca = await createCertificateAuthority({ commonName: "CA", notBefore, notAfter });
  const names = { dnsNames: ["x"], ipAddresses: [], notBefore, notAfter };
  await assert.rejects(issueServingCertificate(ca, { ...names, dnsNames: [] }), {
    code: "certificate.names.missing",
  });
  const leaf = await issueServingCertificate(ca, names);
  await assert.rejects(issueServingCertificate(leaf, names), { code: "certificateAuthority.notCa" });
});
