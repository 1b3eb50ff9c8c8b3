import assert from "node:assert/strict";
import { X509Certificate, createPrivateKey } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { type Cluster, startCluster } from "../../hack/cluster/cluster.ts";
import type { KubernetesClient } from "../../src/kube/kubernetes-client.ts";
import { type Secret, secrets } from "../../src/kube/objects.ts";
import { createCertificateAuthority, issueServingCertificate } from "../../src/pki/certificate-authority.ts";
import { type Installation, installConcierge, tail, waitUntilServing } from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";
import { type Load, startLoad } from "./harness/load.ts";
import {
  administrator,
  apiServiceNames,
  type CertificateChange,
  certificatesOf,
  publishedBundles,
  refusal,
  servedCertificate,
  watchCertificates,
} from "./harness/served-certificate.ts";

const whoAmI = "/apis/identity.concierge.pinniped.dev/v1alpha1/whoamirequests";
const whoAmIBody = JSON.stringify({
  kind: "WhoAmIRequest",
  apiVersion: "identity.concierge.pinniped.dev/v1alpha1",
});

interface World {
  readonly cluster: Cluster;
  readonly installation: Installation;
  readonly client: KubernetesClient;
  readonly secretKey: { readonly namespace: string; readonly name: string };
  load(perSecond: number): Load;
  texts(secret: Secret): Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/** A cluster with two replicas that serve. */
async function createWorld(name: string): Promise<World> {
  const cluster = await startCluster({ name: `${name}-${process.pid}`, progress: () => {} });
  let installation: Installation | undefined;
  let client: KubernetesClient | undefined;
  const close = async (): Promise<void> => {
    await installation?.close();
    await client?.close();
    await cluster.stop();
  };
  try {
    installation = await installConcierge(cluster, { replicas: 2 });
    await waitUntilServing(installation);
    client = await administrator(cluster);
  } catch (error) {
    await close();
    throw error;
  }
  const { api, namespace, app } = installation;
  return {
    cluster,
    installation,
    client,
    secretKey: { namespace, name: `${app}-api-tls-serving-certificate` },
    load: (perSecond) =>
      startLoad({
        perSecond,
        expectedStatus: 201,
        send: (agent) => api(whoAmI, { body: whoAmIBody, agent }),
      }),
    texts: ({ data }) =>
      Object.fromEntries(
        Object.entries(data ?? {}).map(([key, value]) => [key, Buffer.from(value, "base64").toString()]),
      ),
    close,
  };
}

/** Waits until both APIServices hold the CA and no other; the old ones leave a minute after it came. */
function onlyCa(world: World, caPem: string): Promise<unknown> {
  return eventually(
    "the end of the overlap",
    async () => (await publishedBundles(world.client)).every((bundle) => bundle === caPem),
    { seconds: 80, intervalMilliseconds: 250 },
  );
}

function newSecret(world: World, before: Secret): Promise<Secret> {
  return eventually("a new Secret", async () => {
    const secret = await world.client.get(secrets, world.secretKey);
    return secret.metadata.uid === before.metadata.uid ? undefined : secret;
  });
}

/** Contract 6.2 and 6.7. */
function assertNewCertificate(world: World, before: Secret, present: Secret): void {
  const { namespace, app } = world.installation;
  const old = world.texts(before);
  const texts = world.texts(present);
  assert.deepEqual(Object.keys(texts).toSorted(), [
    "caCertificate",
    "caCertificatePrivateKey",
    "tlsCertificateChain",
    "tlsPrivateKey",
  ]);
  for (const [key, text] of Object.entries(texts)) {
    assert.notEqual(text, old[key], `${key} is still the old one`);
  }
  assert.equal(present.type, "Opaque");
  assert.equal(present.metadata.labels?.["app"], app);
  assert.deepEqual(present.metadata.labels, before.metadata.labels);
  const [owner, ...others] = present.metadata.ownerReferences ?? [];
  assert.deepEqual(others, []);
  assert.deepEqual(
    { apiVersion: owner?.apiVersion, kind: owner?.kind, name: owner?.name },
    { apiVersion: "apps/v1", kind: "Deployment", name: app },
  );
  assert.equal(owner?.uid, before.metadata.ownerReferences?.[0]?.uid);

  const ca = new X509Certificate(texts["caCertificate"] ?? "");
  const chain = certificatesOf(texts["tlsCertificateChain"] ?? "");
  const leaf = chain[0];
  assert.ok(leaf !== undefined && chain.length === 1, "the chain is the leaf alone");
  assert.equal(ca.subject, "CN=Pinniped Aggregation CA");
  assert.equal(ca.ca, true);
  assert.match(texts["caCertificatePrivateKey"] ?? "", /^-----BEGIN EC PRIVATE KEY-----/);
  assert.ok(ca.checkPrivateKey(createPrivateKey(texts["caCertificatePrivateKey"] ?? "")));
  assert.match(texts["tlsPrivateKey"] ?? "", /^-----BEGIN PRIVATE KEY-----/);
  assert.ok(leaf.checkPrivateKey(createPrivateKey(texts["tlsPrivateKey"] ?? "")));
  assert.equal(leaf.subject, undefined);
  assert.equal(
    leaf.subjectAltName,
    `DNS:${app}-api.${namespace}.svc, DNS:${app}-api.${namespace}.svc.cluster.local`,
  );
  assert.equal(refusal(leaf, texts["caCertificate"] ?? "", `${app}-api.${namespace}.svc`), undefined);
}

async function tenInARow(world: World): Promise<void> {
  for (let request = 1; request <= 10; request++) {
    const { status, text } = await world.installation.api(whoAmI, { body: whoAmIBody });
    assert.equal(status, 201, `request ${request}: ${text}`);
  }
}

function logs(world: World): string {
  return world.installation.replicas.map((replica) => `${replica.podName}\n${tail(replica)}`).join("\n");
}

/** When something first showed, or stopped showing, a certificate. */
function moment(
  changes: readonly CertificateChange[],
  of: string,
  shows: (change: CertificateChange) => boolean,
): number {
  const change = changes.find((each) => each.of === of && shows(each));
  assert.ok(change !== undefined, `${of} never got there: ${JSON.stringify(changes)}`);
  return change.at;
}

describe("rotation of the serving certificate", { concurrency: true }, () => {
  describe("when the Secret is deleted", () => {
    let world: World;
    before(async () => {
      world = await createWorld("rotation");
    });
    after(() => world?.close());

    it("fails none of 50 requests per second until the old CA has left the bundle", async (t) => {
      const old = await world.client.get(secrets, world.secretKey);
      const oldCa = new X509Certificate(world.texts(old)["caCertificate"] ?? "").fingerprint256;
      const oldLeaf = new X509Certificate(world.texts(old)["tlsCertificateChain"] ?? "").fingerprint256;
      const watch = await watchCertificates(world.installation, world.client);
      const load = world.load(50);
      t.after(() => Promise.allSettled([load.stop(), watch.stop()]));

      await world.client.raw({
        method: "DELETE",
        path: `/api/v1/namespaces/${world.secretKey.namespace}/secrets/${world.secretKey.name}`,
      });
      const present = await newSecret(world, old);
      const texts = world.texts(present);
      await onlyCa(world, texts["caCertificate"] ?? "");
      // Connections made under the old bundle are gone by now or never will be a problem.
      await new Promise((resolve) => setTimeout(resolve, 5_000));
      const { sent, failures, slowestMilliseconds } = await load.stop();
      const { problems, changes, samples } = await watch.stop();

      assert.deepEqual(problems, [], logs(world));
      assert.deepEqual(failures, [], logs(world));
      assertNewCertificate(world, old, present);
      for (const bundle of await publishedBundles(world.client)) {
        assert.equal(bundle, texts["caCertificate"]);
      }

      // Clarification 14: trusted first, served 10 s later, the old CA gone after a minute.
      const newCa = new X509Certificate(texts["caCertificate"] ?? "").fingerprint256;
      const newLeaf = new X509Certificate(texts["tlsCertificateChain"] ?? "").fingerprint256;
      const published = apiServiceNames.map((name) =>
        moment(changes, name, ({ fingerprints }) => fingerprints.includes(newCa)),
      );
      const forgotten = apiServiceNames.map((name) =>
        moment(changes, name, ({ fingerprints }) => !fingerprints.includes(oldCa)),
      );
      const switched = world.installation.replicas.map(({ podName }) =>
        moment(changes, podName, ({ fingerprints }) => fingerprints.includes(newLeaf)),
      );
      for (const { podName } of world.installation.replicas) {
        const shown = changes.filter(({ of }) => of === podName).flatMap(({ fingerprints }) => fingerprints);
        assert.deepEqual(shown, [oldLeaf, newLeaf]);
      }
      const lastPublished = Math.max(...published);
      t.diagnostic(
        `${sent} requests, slowest ${slowestMilliseconds} ms; ${samples} samples; published at ${published.join(", ")} ms, ` +
          `served at ${switched.join(", ")} ms, old CA gone at ${forgotten.join(", ")} ms`,
      );
      // A sample and its calls lie between what happened and what was seen.
      assert.ok(
        Math.min(...switched) >= lastPublished + 8_000,
        "served before the aggregators can know the CA",
      );
      assert.ok(Math.min(...forgotten) >= Math.max(...switched) + 30_000, "the old CA left too early");
      assert.ok(samples > 100, `only ${samples} samples`);
      assert.ok(sent > 50 * 60, `only ${sent} requests`);
    });
  });

  describe("when the certificate has expired", () => {
    let world: World;
    before(async () => {
      world = await createWorld("expiry");
    });
    after(() => world?.close());

    it("makes a new CA, key and certificate, and serves through it", async (t) => {
      const { client, secretKey } = world;
      const old = await client.get(secrets, secretKey);
      const day = 24 * 60 * 60 * 1000;
      const validity = { notBefore: new Date(Date.now() - 2 * day), notAfter: new Date(Date.now() - day) };
      const authority = await createCertificateAuthority({ commonName: "expired", ...validity });
      const expired = await issueServingCertificate(authority, {
        dnsNames: [`${world.installation.app}-api.${secretKey.namespace}.svc`],
        ipAddresses: [],
        ...validity,
      });
      const watch = await watchCertificates(world.installation, client);
      const load = world.load(10);
      t.after(() => Promise.allSettled([load.stop(), watch.stop()]));

      await client.update(secrets, {
        ...old,
        data: { ...old.data, tlsCertificateChain: Buffer.from(expired.certificatePem).toString("base64") },
      });
      const started = Date.now();
      const present = await newSecret(world, old);
      const texts = world.texts(present);
      const newLeaf = new X509Certificate(texts["tlsCertificateChain"] ?? "").fingerprint256;
      for (const replica of world.installation.replicas) {
        await eventually(
          `the new certificate at ${replica.podName}`,
          async () => (await servedCertificate(replica)).fingerprint256 === newLeaf,
        );
      }
      const served = Date.now() - started;
      await onlyCa(world, texts["caCertificate"] ?? "");
      await tenInARow(world);
      const { failures, sent } = await load.stop();
      const { problems, changes } = await watch.stop();
      t.diagnostic(
        `new certificate served after ${served} ms, over after ${Date.now() - started} ms, ${sent} requests`,
      );
      assert.deepEqual(problems, [], logs(world));
      assert.deepEqual(failures, [], logs(world));
      assertNewCertificate(world, old, present);
      const planted = new X509Certificate(expired.certificatePem).fingerprint256;
      assert.ok(
        !changes.some(({ fingerprints }) => fingerprints.includes(planted)),
        "the expired certificate was served",
      );
    });
  });
});
