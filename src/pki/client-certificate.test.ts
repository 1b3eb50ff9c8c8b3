import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { X509Certificate, createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import * as fc from "fast-check";
import { oracleCertificate, runOracle } from "../../test/oracle/oracle.ts";
import { createCertificateAuthority, issueServingCertificate } from "./certificate-authority.ts";
import { subjectOf } from "./certificate.ts";
import { MAXIMUM_CLIENT_CERTIFICATE_BYTES, createClientCertificateIssuer } from "./client-certificate.ts";
import type { ClientCertificateIssuer } from "./client-certificate.ts";
import type { KeyPairPem } from "./key-pair.ts";

const start = Math.floor(Date.now() / 1000) * 1000;
const notBefore = new Date(start - 300_000);
const notAfter = new Date(start + 300_000);
const caEnd = new Date(start + 86_400_000);

let ca: KeyPairPem;
let issuer: ClientCertificateIssuer;
let folder: string;
let caFile: string;

before(async () => {
  ca = await createCertificateAuthority({ commonName: "Test CA", notBefore, notAfter: caEnd });
  issuer = createClientCertificateIssuer(ca);
  folder = mkdtempSync(join(tmpdir(), "lanyard-pki-"));
  caFile = join(folder, "ca.pem");
  writeFileSync(caFile, ca.certificatePem);
});
after(() => rmSync(folder, { recursive: true }));

const issue = (username: string, groups: readonly string[]): ReturnType<ClientCertificateIssuer["issue"]> =>
  issuer.issue({ username, groups, notBefore, notAfter });

function openssl(args: readonly string[], input: string): string {
  return execFileSync("openssl", args, { input, stdio: ["pipe", "pipe", "pipe"] }).toString();
}

test("the leaf has exactly the shape of contract 2.4, in Go's eyes", async () => {
  const leaf = await issue("pinny", ["seals", "mammals"]);
  const go = await oracleCertificate(leaf.certificatePem, "-ca", caFile);
  assert.equal(go.verifyError, "");
  assert.equal(go.commonName, "pinny");
  assert.deepEqual(go.rdns, [
    [
      { type: "2.5.4.10", tag: 12, value: "seals" },
      { type: "2.5.4.10", tag: 12, value: "mammals" },
    ],
    [{ type: "2.5.4.3", tag: 12, value: "pinny" }],
  ]);
  assert.equal(go.notBeforeUnix, notBefore.getTime() / 1000);
  assert.equal(go.notAfterUnix, notAfter.getTime() / 1000);
  assert.deepEqual(go.extensions, [
    { id: "2.5.29.37", critical: false },
    { id: "2.5.29.19", critical: true },
    { id: "2.5.29.35", critical: false },
  ]);
  assert.deepEqual(go.extKeyUsage, [2]);
  assert.deepEqual([go.isCA, go.basicConstraintsValid, go.keyUsage], [false, true, 0]);
  const goCa = await oracleCertificate(ca.certificatePem);
  assert.equal(go.authorityKeyIdHex, goCa.subjectKeyIdHex);
  assert.equal(go.issuerHex, goCa.subjectHex);
  assert.equal(go.sha256Hex, leaf.sha256Hex);
  assert.equal(go.serialHex, leaf.serialHex);
  assert.equal(go.serialSign, 1);
  assert.match(leaf.serialHex, /^[4-7][0-9a-f]{31}$/);
  assert.match(leaf.certificatePem, /^-----BEGIN CERTIFICATE-----\n[^-]*-----END CERTIFICATE-----\n$/);
});

test("the key is fresh, PKCS #8, and its pair works with Node and OpenSSL", async () => {
  const [one, two] = await Promise.all([issue("a", []), issue("a", [])]);
  assert.notEqual(one.privateKeyPem, two.privateKeyPem);
  assert.notEqual(one.serialHex, two.serialHex);
  const key = createPrivateKey(one.privateKeyPem ?? "");
  assert.equal(key.asymmetricKeyDetails?.namedCurve, "prime256v1");
  assert.ok(new X509Certificate(one.der).checkPrivateKey(key));
  assert.equal(key.export({ type: "pkcs8", format: "pem" }), one.privateKeyPem);
  assert.match(openssl(["pkey", "-check", "-noout"], one.privateKeyPem ?? ""), /valid/);
});

test("a name that looks like DER in hex stays a name", async () => {
  const leaf = await issue("#0c0561646d696e", ["#0c0e73797374656d3a6d617374657273"]);
  const go = await oracleCertificate(leaf.certificatePem);
  assert.equal(go.commonName, "#0c0561646d696e");
  assert.deepEqual(go.organizations, ["#0c0e73797374656d3a6d617374657273"]);
});

test("non-ASCII names and the printed forms of OpenSSL and Node", async () => {
  const leaf = await issue("é中😀", ["a=b, CN=admin+O=x", 'quote"back\\slash']);
  const go = await oracleCertificate(leaf.certificatePem);
  assert.equal(go.commonName, "é中😀");
  assert.deepEqual(go.organizations.toSorted(), ["a=b, CN=admin+O=x", 'quote"back\\slash'].toSorted());
  const subject = openssl(
    ["x509", "-noout", "-subject", "-nameopt", "sep_multiline,utf8,sname"],
    leaf.certificatePem,
  );
  assert.match(subject, /CN=é中😀/);
  const text = openssl(["x509", "-noout", "-text"], leaf.certificatePem);
  assert.match(text, /TLS Web Client Authentication/);
  assert.match(text, /X509v3 Basic Constraints: critical\s+CA:FALSE/);
  assert.equal(Buffer.from(new X509Certificate(leaf.der).raw).equals(leaf.der), true);
});

test("300 groups", async () => {
  const groups = Array.from({ length: 300 }, (_, index) => `team-${index}-${"x".repeat(index % 50)}`);
  const go = await oracleCertificate((await issue("many", groups)).certificatePem, "-ca", caFile);
  assert.equal(go.rdns.length, 2);
  assert.deepEqual(go.organizations.toSorted(), groups.toSorted());
  assert.equal(go.verifyError, "");
});

test("no groups, no O", async () => {
  const go = await oracleCertificate((await issue("alone", [])).certificatePem);
  assert.deepEqual(go.rdns, [[{ type: "2.5.4.3", tag: 12, value: "alone" }]]);
});

test("any Unicode name comes back unchanged from our own reader", async () => {
  const name = fc
    .string({ unit: "binary", minLength: 1, maxLength: 80 })
    .filter((text) => !/\p{Cc}/u.test(text));
  await fc.assert(
    fc.asyncProperty(name, fc.array(name, { maxLength: 8 }), async (username, groups) => {
      const subject = subjectOf((await issue(username, groups)).der);
      assert.equal(subject.commonName, username);
      assert.deepEqual([...subject.organizations].toSorted(), groups.toSorted());
      assert.equal(subject.uid, undefined);
    }),
    { numRuns: 200 },
  );
});

test("any Unicode name comes back unchanged from Go", async () => {
  const name = fc
    .string({ unit: "binary", minLength: 1, maxLength: 80 })
    .filter((text) => !/\p{Cc}/u.test(text));
  for (const [username, groups] of fc.sample(fc.tuple(name, fc.array(name, { maxLength: 5 })), 15)) {
    const go = await oracleCertificate((await issue(username, groups)).certificatePem);
    assert.equal(go.commonName, username);
    assert.deepEqual([...go.organizations].toSorted(), groups.toSorted());
  }
});

test("names that a certificate cannot carry are refused", async () => {
  const cases: readonly [string, readonly string[], string][] = [
    ["", [], "certificate.subject.empty"],
    ["a", [""], "certificate.subject.empty"],
    ["a\0b", [], "certificate.subject.controlCharacter"],
    ["a", ["b\n"], "certificate.subject.controlCharacter"],
    ["a\u007f", [], "certificate.subject.controlCharacter"],
    ["a\u0085", [], "certificate.subject.controlCharacter"],
    ["\ud800", [], "certificate.subject.unicode"],
    ["a", ["\udc00b"], "certificate.subject.unicode"],
    ["a".repeat(70_000), [], "certificate.subject.tooLarge"],
    ["a", Array.from({ length: 10_000 }, () => "é".repeat(10)), "certificate.subject.tooLarge"],
  ];
  for (const [username, groups, code] of cases) {
    await assert.rejects(
      issue(username, groups),
      (error: { code?: string; message?: string; httpStatus?: number }) => {
        assert.equal(error.code, code);
        assert.equal(error.httpStatus, 422);
        assert.ok((error.message ?? "").length < 200);
        return true;
      },
    );
  }
});

test("the largest certificate passes a Go handshake, and 571 groups of the known measure fit", async () => {
  const serving = await issueServingCertificate(ca, {
    dnsNames: ["x"],
    ipAddresses: [],
    notBefore,
    notAfter,
  });
  const handshake = async (groups: readonly string[]): Promise<Record<string, unknown>> => {
    const leaf = await issue("u", groups);
    return (await runOracle(
      ["handshake"],
      JSON.stringify({
        certificatePem: leaf.certificatePem,
        privateKeyPem: leaf.privateKeyPem,
        caPem: ca.certificatePem,
        serverCertificatePem: serving.certificatePem,
        serverPrivateKeyPem: serving.privateKeyPem,
      }),
    )) as Record<string, unknown>;
  };
  const known = await handshake(Array.from({ length: 571 }, (_, index) => `g${index}`.padEnd(100, "x")));
  assert.equal(known["serverError"], "");
  assert.equal(known["organizationCount"], 571);

  // ECDSA signatures differ by a few bytes, so the edge is found by trying.
  let largest = 0;
  for (let size = MAXIMUM_CLIENT_CERTIFICATE_BYTES - 500; size < MAXIMUM_CLIENT_CERTIFICATE_BYTES; size++) {
    try {
      const leaf = await issue("u", ["g".repeat(size)]);
      assert.ok(leaf.der.length <= MAXIMUM_CLIENT_CERTIFICATE_BYTES);
      largest = size;
    } catch (error) {
      assert.equal((error as { code?: string }).code, "certificate.subject.tooLarge");
      break;
    }
  }
  assert.ok(largest > 0);
  const edge = await handshake(["g".repeat(largest - 5)]);
  assert.equal(edge["serverError"], "");
  assert.equal(edge["clientError"], "");
  const messageBytes = Number(edge["messageBytes"]);
  assert.ok(
    messageBytes > MAXIMUM_CLIENT_CERTIFICATE_BYTES - 100 && messageBytes <= 65_536 - 1_400,
    String(messageBytes),
  );
});

test("validity is refused behind the CA's end, or when it ends before it begins", async () => {
  const late = new Date(caEnd.getTime() + 1000);
  await assert.rejects(issuer.issue({ username: "a", groups: [], notBefore, notAfter: late }), {
    code: "certificate.validity.exceedsCa",
  });
  await issuer.issue({ username: "a", groups: [], notBefore, notAfter: caEnd });
  for (const end of [notBefore, new Date(Number.NaN)]) {
    await assert.rejects(issuer.issue({ username: "a", groups: [], notBefore, notAfter: end }), {
      code: "certificate.validity.invalid",
    });
  }
  assert.deepEqual(issuer.caNotAfter, caEnd);
});

test("a key that the caller brings is certified and no private key is answered", async () => {
  const pairs = [
    generateKeyPairSync("ec", { namedCurve: "P-384" }),
    generateKeyPairSync("ed25519"),
    generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ];
  for (const { publicKey, privateKey } of pairs) {
    const publicKeySpki = publicKey.export({ type: "spki", format: "der" });
    const leaf = await issuer.issue({ username: "a", groups: [], notBefore, notAfter, publicKeySpki });
    assert.equal(leaf.privateKeyPem, undefined);
    assert.ok(new X509Certificate(leaf.der).checkPrivateKey(privateKey));
  }
  const good = pairs[0]?.publicKey.export({ type: "spki", format: "der" }) ?? Buffer.alloc(0);
  for (const publicKeySpki of [Buffer.alloc(0), Buffer.from("3000", "hex"), good.subarray(0, -1)]) {
    await assert.rejects(issuer.issue({ username: "a", groups: [], notBefore, notAfter, publicKeySpki }), {
      code: "certificate.publicKey.invalid",
    });
  }
});

test("every kind of cluster CA key signs; its name is copied byte for byte; without SKI there is no AKI", async () => {
  const kinds: readonly (readonly [string, readonly string[], string])[] = [
    ["rsa", ["-newkey", "rsa:2048"], "SHA256-RSA"],
    ["p256", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "ECDSA-SHA256"],
    ["p384", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"], "ECDSA-SHA384"],
    ["p521", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"], "ECDSA-SHA512"],
    ["ed25519", ["-newkey", "ed25519"], "Ed25519"],
  ];
  for (const [name, args, algorithm] of kinds) {
    const keyFile = join(folder, `${name}.key`);
    const certificateFile = join(folder, `${name}.pem`);
    const subject = "/C=DE/O=Ünïcode + Co/CN=kubernetes";
    openssl(
      [
        "req",
        "-x509",
        ...args,
        "-nodes",
        "-utf8",
        "-subj",
        subject,
        "-days",
        "2",
        "-keyout",
        keyFile,
        "-out",
        certificateFile,
      ].concat(name === "rsa" ? ["-addext", "subjectKeyIdentifier=none"] : []),
      "",
    );
    const certificatePem = execFileSync("cat", [certificateFile]).toString();
    const privateKeyPem = execFileSync("cat", [keyFile]).toString();
    const leaf = await createClientCertificateIssuer({ certificatePem, privateKeyPem }).issue({
      username: "u",
      groups: ["g"],
      notBefore,
      notAfter,
    });
    const go = await oracleCertificate(leaf.certificatePem, "-ca", certificateFile);
    const goCa = await oracleCertificate(certificatePem);
    assert.equal(go.verifyError, "", name);
    assert.equal(go.signatureAlgorithm, algorithm);
    assert.equal(go.issuerHex, goCa.subjectHex);
    assert.equal(go.authorityKeyIdHex, goCa.subjectKeyIdHex);
    assert.equal(go.extensions.length, name === "rsa" ? 2 : 3);
    assert.match(
      openssl(["verify", "-CAfile", certificateFile, "-purpose", "sslclient"], leaf.certificatePem),
      /OK/,
    );
  }
});

test("a key that cannot sign certificates is refused", () => {
  const keyFile = join(folder, "k.key");
  const certificateFile = join(folder, "k.pem");
  openssl(
    [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:secp256k1",
      "-nodes",
      "-subj",
      "/CN=x",
      "-keyout",
      keyFile,
      "-out",
      certificateFile,
    ],
    "",
  );
  const pair = {
    certificatePem: execFileSync("cat", [certificateFile]).toString(),
    privateKeyPem: execFileSync("cat", [keyFile]).toString(),
  };
  assert.throws(() => createClientCertificateIssuer(pair), { code: "certificateAuthority.keyUnsupported" });
  assert.equal(createPublicKey(pair.certificatePem).asymmetricKeyType, "ec");
});
