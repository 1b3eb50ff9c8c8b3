import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createHash, X509Certificate } from "node:crypto";
import { after, before, describe, it } from "node:test";

import { type Cluster, startCluster } from "../../hack/cluster/cluster.ts";
import { startIssuer, type TestIssuer } from "../oidc/issuer.ts";
import { oracleCertificate } from "../oracle/oracle.ts";
import { applyAuthenticator, authenticatorInPhase, inlineBundle } from "./harness/authenticators.ts";
import { type Installation, installConcierge, waitUntilServing } from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";
import { type AuthenticatorName, exchange, postExchange, whoAmI } from "./harness/exchange.ts";

const clientId = "subjects-test";
const authenticator: AuthenticatorName = { kind: "JWTAuthenticator", name: "subjects" };

interface Person {
  readonly what: string;
  readonly username: string;
  readonly groups: readonly string[];
}

/** Names that string forms of distinguished names would change, lose or take apart. */
const people: readonly Person[] = [
  // In RFC 4514 this is a BER value: the UTF8String `admin`, after a stray form feed.
  {
    what: "a name that looks like encoded bytes",
    username: "#0c0561646d696e",
    groups: ["#0c0561646d696e", "b"],
  },
  {
    what: "300 groups",
    username: "many",
    groups: Array.from({ length: 300 }, (_, index) => `group-${String(index).padStart(3, "0")}`),
  },
  { what: "a name beyond ASCII", username: "é中😀", groups: ["é", "中", "😀"] },
  {
    what: "names with separators",
    username: "CN=admin,O=system:masters+OU=x",
    groups: ['a,b="c"', "a;b\\,c", "O=system:masters", "<#>", "a/b", "a+b", "a b"],
  },
  { what: "decomposed and composed letters", username: "e\u0301", groups: ["\u00e9", "e\u0301"] },
  {
    what: "a name longer than RFC 5280 allows",
    username: `long-${"n".repeat(400)}`,
    groups: ["g".repeat(300)],
  },
  { what: "no groups", username: "lonely", groups: [] },
];

/** DER of one tag, length and content (X.690 section 8.1), written down apart from src/pki. */
function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const header =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...header]), content]);
}

const objectIdentifiers = { CN: "0603550403", O: "060355040a" };

function attribute(type: keyof typeof objectIdentifiers, value: string): Buffer {
  return der(0x30, Buffer.concat([Buffer.from(objectIdentifiers[type], "hex"), stringOf(value)]));
}

/** UTF8String for every value (RFC 5280 section 4.1.2.4). */
function stringOf(value: string): Buffer {
  return der(0x0c, Buffer.from(value, "utf8"));
}

/** SEQUENCE of one SET with all groups, in DER's order of a SET, and one with the name (contract 2.4). */
function expectedSubject({ username, groups }: Person): Buffer {
  const organizations = groups.map((group) => attribute("O", group)).toSorted(Buffer.compare);
  return der(
    0x30,
    Buffer.concat([
      ...(organizations.length === 0 ? [] : [der(0x31, Buffer.concat(organizations))]),
      der(0x31, attribute("CN", username)),
    ]),
  );
}

/** openssl's own reading: every attribute with the DER of its value. */
function opensslSubject(pem: string): readonly string[] {
  const { status, stdout, stderr } = spawnSync(
    "openssl",
    ["x509", "-noout", "-subject", "-nameopt", "sep_multiline,sname,dump_all,dump_der"],
    { input: pem, encoding: "utf8" },
  );
  assert.equal(status, 0, stderr);
  return stdout
    .replace(/^subject=\s*/, "")
    .trim()
    .split(/\n\s*| \+ /);
}

describe("subjects of certificates", () => {
  let cluster: Cluster;
  let concierge: Installation;
  let issuer: TestIssuer;

  before(async () => {
    issuer = await startIssuer({ clientId, users: people });
    cluster = await startCluster({ name: `subjects-${process.pid}`, progress: () => {} });
    concierge = await installConcierge(cluster);
    await waitUntilServing(concierge);
    await applyAuthenticator(cluster, authenticator, {
      issuer: issuer.issuerUrl,
      audience: clientId,
      tls: inlineBundle(issuer.caPem),
    });
    await authenticatorInPhase(cluster, authenticator, "Ready");
    await eventually("a first exchange", async () => {
      const token = await issuer.signToken({ username: "first" });
      return (await postExchange(concierge, token, authenticator)).text.includes("clientKeyData");
    });
  });
  after(async () => {
    await concierge?.close();
    await issuer?.stop();
    await cluster?.stop();
  });

  for (const person of people) {
    it(`${person.what}: the same bytes for openssl, Go and the kube-apiserver`, async () => {
      const token = await issuer.getIdToken(person);
      const issued = await exchange(concierge, token, authenticator);

      const expected = expectedSubject(person);
      const go = await oracleCertificate(issued.certificatePem, "-ca", cluster.ca.cert, "-usage", "client");
      assert.equal(go.verifyError ?? "", "");
      assert.equal(go.subjectHex, expected.toString("hex"));
      assert.equal(go.commonName, person.username);
      assert.deepEqual(go.organizations.toSorted(), person.groups.toSorted());
      assert.deepEqual(
        go.rdns.map((rdn) => rdn.length),
        person.groups.length === 0 ? [1] : [person.groups.length, 1],
      );
      assert.deepEqual(go.extKeyUsage, [2]);
      assert.deepEqual([go.isCA, go.basicConstraintsValid, go.keyUsage], [false, true, 0]);
      assert.deepEqual([go.dnsNames, go.ipAddresses], [[], []]);
      assert.equal(go.publicKeyAlgorithm, "ECDSA");

      const values = (type: string, texts: readonly string[]) =>
        texts.map((text) => `${type}=#${stringOf(text).toString("hex").toUpperCase()}`);
      assert.deepEqual(
        opensslSubject(issued.certificatePem).toSorted(),
        [...values("O", person.groups), ...values("CN", [person.username])].toSorted(),
      );

      const seen = await whoAmI(concierge, issued);
      assert.equal(seen.username, person.username);
      assert.deepEqual(seen.groups?.toSorted(), [...person.groups, "system:authenticated"].toSorted());
      const { raw } = new X509Certificate(issued.certificatePem);
      assert.deepEqual(seen.extra, {
        "authentication.kubernetes.io/credential-id": [
          `X509SHA256=${createHash("sha256").update(raw).digest("hex")}`,
        ],
      });
    });
  }
});
