import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import type { Agent } from "node:https";
import { after, before, describe, it } from "node:test";
import { type Cluster, startCluster } from "../../hack/cluster/cluster.ts";
import type { KubernetesClient } from "../../src/kube/kubernetes-client.ts";
import { type Secret, secrets } from "../../src/kube/objects.ts";
import { createCertificateAuthority } from "../../src/pki/certificate-authority.ts";
import { startIssuer, type TestIssuer } from "../oidc/issuer.ts";
import { applyAuthenticator, authenticatorInPhase, inlineBundle } from "./harness/authenticators.ts";
import { frontProxy, straightAt, type StraightCall } from "./harness/callers.ts";
import { type Installation, installConcierge, kubectl, tail, waitUntilServing } from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";
import {
  type AuthenticatorName,
  exchangeObject,
  exchangePath,
  issuedCertificate,
} from "./harness/exchange.ts";
import type { Answer } from "./harness/http.ts";
import { startLoad } from "./harness/load.ts";
import { administrator, certificatesOf } from "./harness/served-certificate.ts";

const clientId = "signer-test";
const jane = { username: "jane", groups: ["apes"] };
const authenticator: AuthenticatorName = { kind: "JWTAuthenticator", name: "company" };
const SECOND = 1000;
const day = 24 * 60 * 60 * SECOND;
/** Lifetime of 300 s and five minutes of slack. */
const overlapMilliseconds = 600 * SECOND;

/** A certificate's issuer by its key, among CAs by name. */
function issuerOf(leafPem: string, authorities: Readonly<Record<string, string>>): string {
  const leaf = new X509Certificate(leafPem);
  const found = Object.entries(authorities).find(([, pem]) =>
    leaf.verify(new X509Certificate(pem).publicKey),
  );
  return found?.[0] ?? "unknown";
}

const textOf = (secret: Secret | undefined, key: string): string =>
  Buffer.from(secret?.data?.[key] ?? "", "base64").toString();

describe("the impersonation proxy's signer", () => {
  let cluster: Cluster;
  let installation: Installation;
  let client: KubernetesClient;
  let issuer: TestIssuer;
  let body = "";
  const straight: StraightCall[] = [];
  const signer = () => ({
    namespace: installation.namespace,
    name: `${installation.app}-impersonation-proxy-signer-ca-certificate`,
  });
  const previous = () => ({ ...signer(), name: `${signer().name}-previous` });
  const tokenKey = () => ({ ...signer(), name: `${installation.app}-impersonation-proxy-token-key` });
  const find = (key: { namespace: string; name: string }): Promise<Secret | undefined> =>
    client.get(secrets, key).catch(() => undefined);
  const logs = (): string => installation.replicas.map(tail).join("\n");
  /** What each replica said last of the keys that it signs with and trusts. */
  const inForce = (): readonly { readonly signing?: string; readonly trusted: readonly string[] }[] =>
    installation.replicas.map((replica) => {
      const line = replica
        .log()
        .split("\n")
        .findLast((each) => each.includes("impersonation proxy signer: keys in force"));
      return JSON.parse(line ?? `{"trusted":[]}`) as { signing?: string; trusted: string[] };
    });
  const fingerprint = (pem: string): string =>
    new X509Certificate(pem).fingerprint256.replaceAll(":", "").toLowerCase();
  /**
   * Straight at a replica, as the kube-apiserver would: its own queues and probes shed requests when the machine stalls, which
   * says nothing about the signer.
   */
  const postAt = async (index: number, agent?: Agent): Promise<Answer> => {
    const at = straight[index % straight.length];
    assert.ok(at !== undefined);
    return at(exchangePath, {
      body,
      caller: frontProxy(cluster),
      headers: { "X-Remote-User": "system:anonymous", "X-Remote-Group": "system:unauthenticated" },
      ...(agent === undefined ? {} : { agent }),
    });
  };
  const exchangeAt = async (index: number): Promise<string> =>
    issuedCertificate(await postAt(index)).certificatePem;

  before(async () => {
    issuer = await startIssuer({ clientId, users: [jane] });
    cluster = await startCluster({ name: `signer-${process.pid}`, progress: () => {} });
    installation = await installConcierge(cluster, { replicas: 2, signWithClusterCa: false });
    await waitUntilServing(installation);
    client = await administrator(cluster);
    await applyAuthenticator(cluster, authenticator, {
      issuer: issuer.issuerUrl,
      audience: clientId,
      tls: inlineBundle(issuer.caPem),
    });
    await authenticatorInPhase(cluster, authenticator, "Ready");
    body = JSON.stringify(
      exchangeObject(
        await issuer.signToken({ sub: "jane", ...jane, exp: Math.floor(Date.now() / 1000) + 3600 }),
        authenticator,
      ),
    );
    for (const [index, replica] of installation.replicas.entries()) {
      straight.push(await straightAt(installation, replica));
      await eventually(`a first exchange\n${tail(replica)}`, () => exchangeAt(index).catch(() => undefined));
    }
  });
  after(async () => {
    await installation?.close();
    await client?.close();
    await issuer?.stop();
    await cluster?.stop();
  });

  it("is rotated when it is old, under 100 exchanges per second, without a failure (S10)", async (t) => {
    const validity = {
      notBefore: new Date(Date.now() - 365 * day),
      notAfter: new Date(Date.now() + 30 * day),
    };
    const old = await createCertificateAuthority({ commonName: "A year old", ...validity });
    const issued: { readonly at: number; readonly certificatePem: string }[] = [];
    let next = 0;
    const load = startLoad({
      perSecond: 100,
      expectedStatus: 201,
      send: async (agent) => {
        const answer = await postAt(next++, agent);
        // `authentication failed` is a 201 too: this throws then.
        issued.push({ at: Date.now(), certificatePem: issuedCertificate(answer).certificatePem });
        return answer;
      },
    });
    t.after(() => load.stop());
    const first = await client.get(secrets, signer());
    // An administrator brings a CA of their own. It is old enough to be rotated as soon as it is seen.
    await client.update(secrets, {
      ...first,
      data: {
        caCertificate: Buffer.from(old.certificatePem).toString("base64"),
        caCertificatePrivateKey: Buffer.from(old.privateKeyPem).toString("base64"),
      },
    });
    const present = await eventually(`a rotation\n${logs()}`, async () => {
      const secret = await client.get(secrets, signer());
      const caPem = textOf(secret, "caCertificate");
      return ![old.certificatePem, textOf(first, "caCertificate")].includes(caPem) ? secret : undefined;
    });
    const rotatedAt = Date.parse(present.metadata.annotations?.["concierge.lanyard.dev/rotated-at"] ?? "");
    const fresh = textOf(present, "caCertificate");
    assert.equal(present.metadata.uid, first.metadata.uid, "the Secret was replaced and not updated");
    assert.deepEqual(Object.keys(present.data ?? {}).toSorted(), [
      "caCertificate",
      "caCertificatePrivateKey",
    ]);
    assert.equal(new X509Certificate(fresh).subject, "CN=Pinniped Impersonation Proxy Signer CA");

    // The old private key is nowhere, in whatever form it is looked for.
    const everything = await kubectl(cluster, [
      "get",
      "secrets,configmaps",
      "--all-namespaces",
      "--output=json",
    ]);
    const secretPart = old.privateKeyPem.split("\n")[1] ?? "";
    assert.ok(!everything.includes(Buffer.from(old.privateKeyPem).toString("base64").slice(60, 120)));
    assert.ok(!everything.includes(secretPart));
    for (const secret of (JSON.parse(everything) as { items: Secret[] }).items) {
      const texts = Object.keys(secret.data ?? {}).map((key) => textOf(secret, key));
      assert.ok(!texts.some((text) => text.includes(secretPart)), secret.metadata.name);
    }
    const [kept, ...others] = JSON.parse(textOf(await find(previous()), "keys.json")) as readonly {
      readonly pem: string;
      readonly signsUntil: string;
      readonly trustedUntil: string;
    }[];
    assert.deepEqual(others, []);
    assert.equal(fingerprint(kept?.pem ?? ""), fingerprint(old.certificatePem));
    const switchAt = Date.parse(kept?.signsUntil ?? "");
    assert.ok(Math.abs(switchAt - rotatedAt - 60 * SECOND) < 5 * SECOND);
    assert.equal(Date.parse(kept?.trustedUntil ?? ""), switchAt + overlapMilliseconds);
    const both = [fingerprint(fresh), fingerprint(old.certificatePem)];
    await eventually("trust in both CAs on both replicas", () =>
      Promise.resolve(inForce().every(({ trusted }) => trusted.join() === both.join())),
    );
    assert.deepEqual(
      inForce().map(({ signing }) => signing),
      [both[1], both[1]],
    );

    await eventually(
      "the switch on both replicas",
      () => Promise.resolve(inForce().every(({ signing }) => signing === both[0])),
      { seconds: 75, intervalMilliseconds: 250 },
    );
    const switched = Date.now();
    await new Promise((resolve) => setTimeout(resolve, 5 * SECOND));
    const { sent, failures, slowestMilliseconds } = await load.stop();
    assert.deepEqual(failures, [], logs());
    const authorities = { first: textOf(first, "caCertificate"), old: old.certificatePem, fresh };
    const early = issued.filter(({ at }) => at > rotatedAt + SECOND && at < rotatedAt + 58 * SECOND);
    const late = issued.filter(({ at }) => at > switched + SECOND);
    const issuers = (list: typeof issued): readonly string[] => [
      ...new Set(list.map(({ certificatePem }) => issuerOf(certificatePem, authorities))),
    ];
    assert.deepEqual(issuers(early), ["old"]);
    assert.deepEqual(issuers(late), ["fresh"]);
    assert.deepEqual(
      inForce().map(({ trusted }) => trusted),
      [both, both],
    );
    t.diagnostic(
      `${sent} exchanges, slowest ${slowestMilliseconds} ms; ${early.length} by the old CA, ${late.length} by the new one; ` +
        `switched ${switched - rotatedAt} ms after the rotation`,
    );
    assert.ok(sent > 100 * 58 && early.length > 5000 && late.length > 300);
  });

  it("and all trust in it is dropped within 5 s when its Secret is deleted (S10)", async (t) => {
    const before = await client.get(secrets, signer());
    assert.ok((await find(previous())) !== undefined);
    const deletedAt = Date.now();
    await kubectl(cluster, ["delete", "secret", `--namespace=${signer().namespace}`, signer().name]);
    const fresh = await eventually("a new signer", async () => {
      const secret = await find(signer());
      return secret !== undefined && secret.metadata.uid !== before.metadata.uid ? secret : undefined;
    });
    const caPem = textOf(fresh, "caCertificate");
    const only = [fingerprint(caPem)];
    await eventually("trust in the new CA alone, on both replicas", () =>
      Promise.resolve(inForce().every(({ trusted }) => trusted.join() === only.join())),
    );
    const dropped = Date.now() - deletedAt;
    for (const index of installation.replicas.keys()) {
      assert.equal(issuerOf(await exchangeAt(index), { fresh: caPem }), "fresh");
    }
    assert.equal(certificatesOf(caPem).length, 1);
    await eventually("the end of the old CA's record", async () => (await find(previous())) === undefined);
    for (const replica of installation.replicas) {
      assert.match(replica.log(), /Secret is gone, nothing that came from it is trusted any more/);
    }
    t.diagnostic(`dropped ${dropped} ms after the deletion`);
    assert.ok(dropped < 5 * SECOND, `${dropped} ms`);
  });

  it("is rotated when an administrator asks for it, and so is the key of bearer credentials", async () => {
    for (const key of [signer(), tokenKey()]) {
      const before = await client.get(secrets, key);
      await kubectl(cluster, [
        "annotate",
        "secret",
        `--namespace=${key.namespace}`,
        key.name,
        "concierge.lanyard.dev/rotate=now",
      ]);
      const present = await eventually(`a rotation of ${key.name}\n${logs()}`, async () => {
        const secret = await client.get(secrets, key);
        return JSON.stringify(secret.data) === JSON.stringify(before.data) ? undefined : secret;
      });
      assert.equal(present.metadata.uid, before.metadata.uid);
      assert.equal(present.metadata.annotations?.["concierge.lanyard.dev/rotate"], undefined);
      assert.ok((await find({ ...key, name: `${key.name}-previous` })) !== undefined);
    }
  });
});
