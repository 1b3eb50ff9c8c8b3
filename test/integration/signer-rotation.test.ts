import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { Agent } from "node:https";
import { after, before, describe, it } from "node:test";
import { type Cluster, startCluster } from "../../hack/cluster/cluster.ts";
import type { KubernetesClient } from "../../src/kube/kubernetes-client.ts";
import { type Secret, secrets } from "../../src/kube/objects.ts";
import { createCertificateAuthority } from "../../src/pki/certificate-authority.ts";
import { startIssuer, type TestIssuer } from "../oidc/issuer.ts";
import { applyAuthenticator, authenticatorInPhase, inlineBundle } from "./harness/authenticators.ts";
import {
  administrator as clusterAdministrator,
  frontProxy,
  straightAt,
  type StraightCall,
} from "./harness/callers.ts";
import { type Installation, installConcierge, kubectl, tail, waitUntilServing } from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";
import {
  type AuthenticatorName,
  exchangeObject,
  exchangePath,
  type IssuedCertificate,
  issuedCertificate,
} from "./harness/exchange.ts";
import type { Answer, Caller } from "./harness/http.ts";
import { startLoad } from "./harness/load.ts";
import { endingOf, type OpenWatch, type ProxyClient, proxyAt } from "./harness/proxy.ts";
import { grant, readConfigMaps } from "./harness/proxy-world.ts";
import { startRenewingClients } from "./harness/renewing-clients.ts";
import { administrator, certificatesOf } from "./harness/served-certificate.ts";

const clientId = "signer-test";
const jane = { username: "jane", groups: ["apes"] };
const authenticator: AuthenticatorName = { kind: "JWTAuthenticator", name: "company" };
const SECOND = 1000;
const day = 24 * 60 * 60 * SECOND;
/** Lifetime of 300 s and five minutes of slack. */
const overlapMilliseconds = 600 * SECOND;

/** What proxied requests read. */
const object = "/api/v1/namespaces/kube-system/configmaps/kube-root-ca.crt";
const watched = "/api/v1/namespaces/kube-system/configmaps?watch=true";

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
  const proxies: ProxyClient[] = [];
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
  const loginAt = async (index: number): Promise<IssuedCertificate> => issuedCertificate(await postAt(index));
  const exchangeAt = async (index: number): Promise<string> => (await loginAt(index)).certificatePem;

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
      proxies.push(await proxyAt(installation, replica));
    }
    await grant(cluster, "test-apes", { kind: "Group", name: "apes" }, readConfigMaps);
    const caller = await loginAt(0);
    for (const proxy of proxies) {
      await eventually("jane's rights", async () => (await proxy.call(object, { caller })).status === 200);
    }
  });
  after(async () => {
    await installation?.close();
    await client?.close();
    await issuer?.stop();
    await cluster?.stop();
  });

  it("is rotated when it is old, under 100 exchanges and 100 proxied requests per second, without a failure (S10)", async (t) => {
    // An administrator brings a CA of their own, which is a year less an hour old in a few seconds.
    const age = 365 * day - 60 * 60 * SECOND;
    const old = await createCertificateAuthority({
      commonName: "A year old",
      notBefore: new Date(Date.now() + 10 * SECOND - age),
      notAfter: new Date(Date.now() + 30 * day),
    });
    const first = await client.get(secrets, signer());
    await client.update(secrets, {
      ...first,
      data: {
        caCertificate: Buffer.from(old.certificatePem).toString("base64"),
        caCertificatePrivateKey: Buffer.from(old.privateKeyPem).toString("base64"),
      },
    });
    const ofOld = fingerprint(old.certificatePem);
    await eventually("the administrator's CA on both replicas", () =>
      Promise.resolve(inForce().every(({ signing }) => signing === ofOld)),
    );
    const issued: { readonly at: number; readonly certificatePem: string }[] = [];
    let newest = await loginAt(0);
    let next = 0;
    const load = startLoad({
      perSecond: 100,
      expectedStatus: 201,
      send: async (agent) => {
        const answer = await postAt(next++, agent);
        // `authentication failed` is a 201 too: this throws then.
        newest = issuedCertificate(answer);
        issued.push({ at: Date.now(), certificatePem: newest.certificatePem });
        return answer;
      },
    });
    t.after(() => load.stop());
    const users = startRenewingClients({ proxies, perSecond: 100, path: object, newest: () => newest });
    t.after(() => users.stop());
    const watches = await Promise.all(
      proxies.flatMap((proxy) => [
        proxy.watch(watched, { caller: newest }),
        proxy.watchHttp2(watched, { caller: newest }),
      ]),
    );
    t.after(() => watches.forEach((watch) => watch.close()));

    const present = await eventually(`a rotation\n${logs()}`, async () => {
      const secret = await client.get(secrets, signer());
      return textOf(secret, "caCertificate") === old.certificatePem ? undefined : secret;
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
    const [{ sent, failures, slowestMilliseconds }, proxied] = await Promise.all([load.stop(), users.stop()]);
    t.diagnostic(
      `${sent} exchanges, slowest ${slowestMilliseconds} ms; ${proxied.sent} proxied requests, slowest ` +
        `${proxied.slowestMilliseconds} ms, ${users.figures.byFirstCertificates} by the first certificates and connections, ` +
        `${users.figures.logins} new connections, ${users.figures.repeated} repeated for the kube-apiserver`,
    );
    assert.deepEqual(failures, [], logs());
    assert.deepEqual(proxied.failures, [], logs());
    assert.deepEqual(
      watches.map(({ status, isOpen }) => ({ status, isOpen })),
      watches.map(() => ({ status: 200, isOpen: true })),
    );
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
      `${early.length} by the old CA, ${late.length} by the new one; switched ${switched - rotatedAt} ms after the rotation`,
    );
    assert.ok(sent > 100 * 60 && early.length > 5000 && late.length > 300);
    assert.ok(proxied.sent > 100 * 60 && users.figures.logins > 100 * 6);
    // 4 of 20 clients held on to the old CA's certificates to the end.
    assert.ok(users.figures.byFirstCertificates > 0.15 * proxied.sent);
  });

  it("and all trust in it is dropped and what it let in is cut within 5 s when its Secret is deleted (S10)", async (t) => {
    const before = await client.get(secrets, signer());
    assert.ok((await find(previous())) !== undefined);
    const caller = await loginAt(0);
    const admin = clusterAdministrator(cluster);
    const open = (who: Caller): Promise<readonly OpenWatch[]> =>
      Promise.all(
        proxies.flatMap((proxy) => [
          proxy.watch(watched, { caller: who }),
          proxy.watchHttp2(watched, { caller: who }),
        ]),
      );
    const watches = await open(caller);
    const others = await open(admin);
    t.after(() => [...watches, ...others].forEach((watch) => watch.close()));
    assert.deepEqual(
      [...watches, ...others].map(({ status, isOpen }) => ({ status, isOpen })),
      [...watches, ...others].map(() => ({ status: 200, isOpen: true })),
    );
    // A connection that stays, too: who is let in is asked at every request.
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());
    for (const proxy of proxies) {
      assert.equal((await proxy.call(object, { caller, agent })).status, 200);
    }

    const deletedAt = Date.now();
    const since = performance.now();
    await kubectl(cluster, ["delete", "secret", `--namespace=${signer().namespace}`, signer().name]);
    const refusedAfter = await Promise.all(
      proxies.map(async (proxy) => {
        await eventually(
          `the refusal of a certificate of the deleted signer\n${logs()}`,
          async () =>
            (await proxy.call(object, { caller, agent })).status === 401 &&
            (await proxy.call(object, { caller })).status === 401,
        );
        return Math.round(performance.now() - since);
      }),
    );
    const endings = await Promise.all(
      watches.map((watch, index) =>
        endingOf(`watch ${index}`, watch, { since, limitMilliseconds: 5 * SECOND }),
      ),
    );
    t.diagnostic(
      `refused after ${refusedAfter.join(" and ")} ms, watches cut after ${endings.map((each) => each.after).join(", ")} ms`,
    );
    assert.ok(
      refusedAfter.every((after) => after < 5 * SECOND),
      refusedAfter.join(),
    );
    assert.ok(
      others.every(({ isOpen }) => isOpen),
      "a watch of the cluster's administrator was cut",
    );
    assert.deepEqual(
      await Promise.all(proxies.map(async (proxy) => (await proxy.call(object, { caller: admin })).status)),
      [200, 200],
    );
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
