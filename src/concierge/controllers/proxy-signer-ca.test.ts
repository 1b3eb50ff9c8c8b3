import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { test } from "node:test";
import { createManualClock } from "../../clock.ts";
import type { Controller } from "../../kube/controller.ts";
import { secrets } from "../../kube/objects.ts";
import { createCertificateAuthority } from "../../pki/certificate-authority.ts";
import { parseCertificateBundle } from "../../pki/certificate.ts";
import { silentLogger } from "../../telemetry/log.ts";
import type { KeyPair } from "../state/concierge-state.ts";
import { defaultCredentialSettings } from "../state/credential-settings.ts";
import { createHolder } from "../state/holder.ts";
import { createKeyPairHolder } from "../state/key-pair-holder.ts";
import { createMemoryCluster } from "../testing/memory-store.ts";
import { createProxySignerCaControllers } from "./proxy-signer-ca.ts";
import { secretData, secretTexts } from "./serving-certificate-secret.ts";

const key = { namespace: "ns", name: "signer" };
const HOUR = 3_600_000;
const YEAR = 365 * 24 * HOUR;

function createWorld() {
  const clock = createManualClock();
  const store = createMemoryCluster(clock).client();
  const proxySigningKey = createKeyPairHolder("impersonation-proxy-signing-cert", "signing");
  const proxySignerTrust = createHolder<string | undefined>(undefined);
  const expiries: (Date | undefined)[] = [];
  const { controllers } = createProxySignerCaControllers({
    store,
    clock,
    log: silentLogger,
    proxySigningKey,
    proxySignerTrust,
    credentialSettings: createHolder(defaultCredentialSettings),
    namespace: "ns",
    secretName: "signer",
    labels: { app: "a" },
    metrics: { certificateLoaded: (name, notAfter) => name === "proxy_signer" && expiries.push(notAfter) },
  });
  const [observer, rotator] = controllers as [Controller, Controller];
  const { signal } = new AbortController();
  return {
    clock,
    store,
    proxySigningKey,
    proxySignerTrust,
    expiries,
    observe: () => observer.reconcile(signal),
    lead: () => rotator.reconcile(signal),
    texts: async () => secretTexts(await store.get(secrets, key)),
  };
}

const dataOf = (pair: KeyPair): Readonly<Record<string, string>> =>
  secretData({ caCertificate: pair.certificatePem, caCertificatePrivateKey: pair.privateKeyPem });

test("the signer's Secret is as the contract has it (6.2), and what it holds signs and is trusted", async () => {
  const world = createWorld();
  await world.lead();
  const secret = await world.store.get(secrets, key);
  assert.deepEqual(Object.keys(secret.data ?? {}), ["caCertificate", "caCertificatePrivateKey"]);
  assert.deepEqual([secret.type, secret.metadata.labels], ["Opaque", { app: "a" }]);
  const texts = secretTexts(secret);
  const [ca] = parseCertificateBundle(texts["caCertificate"] ?? "");
  assert.equal(ca?.x509.subject, "CN=Pinniped Impersonation Proxy Signer CA");
  assert.equal(ca.notAfter.getTime() - world.clock.now(), YEAR);
  assert.match(texts["caCertificatePrivateKey"] ?? "", /^-----BEGIN EC PRIVATE KEY-----/);
  await world.observe();
  assert.equal(world.proxySigningKey.current?.certificatePem, texts["caCertificate"]);
  assert.equal(world.proxySignerTrust.current, texts["caCertificate"]);
  assert.deepEqual(world.expiries.at(-1), ca.notAfter);

  await world.lead();
  assert.deepEqual(await world.texts(), texts, "it is made once");
  await world.store.delete(secrets, key);
  const order: string[] = [];
  world.proxySigningKey.subscribe(() => order.push("signing"));
  world.proxySignerTrust.subscribe(() => order.push("trust"));
  await world.observe();
  assert.deepEqual([world.proxySigningKey.current, world.proxySignerTrust.current], [undefined, undefined]);
  assert.deepEqual(order, ["signing", "trust"], "nothing is signed that nobody trusts");
  assert.equal(world.expiries.at(-1), undefined);
});

test("S10: the signer is rotated at an age of 365 days less an hour, and both CAs are in the bundle", async () => {
  const world = createWorld();
  await world.lead();
  await world.observe();
  const old = world.proxySigningKey.current;
  const [ca] = parseCertificateBundle(old?.certificatePem ?? "");
  await world.clock.advance((ca?.notBefore.getTime() ?? 0) + YEAR - HOUR - 1000 - world.clock.now());
  await world.lead();
  assert.equal((await world.texts())["caCertificate"], old?.certificatePem);
  await world.clock.advance(1000);
  await world.lead();
  await world.observe();
  const fresh = await world.texts();
  assert.notEqual(fresh["caCertificate"], old?.certificatePem);
  assert.equal(world.proxySignerTrust.current, `${fresh["caCertificate"]}${old?.certificatePem}`);
  assert.equal(world.proxySigningKey.current, old);
  const order: string[] = [];
  world.proxySigningKey.subscribe(() => order.push("signing"));
  world.proxySignerTrust.subscribe(() => order.push("trust"));
  await world.clock.advance(60_000);
  await world.observe();
  assert.equal(world.proxySigningKey.current?.privateKeyPem, fresh["caCertificatePrivateKey"]);
  assert.deepEqual(order, ["signing"]);
  await world.clock.advance(11 * 60_000);
  await world.observe();
  assert.equal(world.proxySignerTrust.current, fresh["caCertificate"]);
});

test("a key pair that an administrator puts in works like one of ours, until it is old or has expired", async () => {
  for (const [notBefore, notAfter, rotates] of [
    [-YEAR + 2 * HOUR, 10 * YEAR, false],
    [-YEAR, 10 * YEAR, true],
    [-2 * HOUR, -HOUR, true],
  ] as const) {
    const world = createWorld();
    const now = world.clock.now();
    const given = await createCertificateAuthority({
      commonName: "Given",
      notBefore: new Date(now + notBefore),
      notAfter: new Date(now + notAfter),
    });
    await world.store.create(secrets, {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { ...key },
      data: dataOf({ ...given, certificatePem: `a note\n${given.certificatePem}` }),
    });
    await world.observe();
    assert.equal(world.proxySigningKey.current?.privateKeyPem, given.privateKeyPem);
    assert.equal(world.proxySignerTrust.current, given.certificatePem, "nothing but the certificate");
    await world.lead();
    await world.observe();
    const [first] = parseCertificateBundle((await world.texts())["caCertificate"] ?? "");
    assert.equal(first?.x509.subject !== "CN=Given", rotates);
    assert.ok(world.proxySignerTrust.current.includes(given.certificatePem), "its certificates are believed");
  }
});

test("what cannot sign is neither loaded nor overwritten", async () => {
  const world = createWorld();
  await world.lead();
  await world.observe();
  const loaded = world.proxySigningKey.current as KeyPair;
  const secret = await world.store.get(secrets, key);
  const other = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  for (const pair of [
    { ...loaded, certificatePem: "" },
    { ...loaded, certificatePem: loaded.certificatePem + loaded.certificatePem },
    { ...loaded, privateKeyPem: other.export({ format: "pem", type: "pkcs8" }) },
  ]) {
    const { resourceVersion: _version, ...metadata } = secret.metadata;
    await world.store.update(secrets, { ...secret, metadata, data: dataOf(pair) });
    await world.observe();
    await world.lead();
    assert.equal(world.proxySigningKey.current, loaded);
    assert.equal(world.proxySignerTrust.current, loaded.certificatePem);
    assert.deepEqual((await world.store.get(secrets, key)).data, dataOf(pair));
  }
});
