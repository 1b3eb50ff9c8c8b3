import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../clock.ts";
import { secrets } from "../../kube/objects.ts";
import { parseCertificateBundle } from "../../pki/certificate.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { createKeyPairHolder } from "../state/key-pair-holder.ts";
import { createMemoryCluster } from "../testing/memory-store.ts";
import { createProxySignerControllers } from "./proxy-signer.ts";
import { secretData, secretTexts } from "./serving-certificate-secret.ts";

const key = { namespace: "ns", name: "signer" };

test("the signer is created, loaded, kept while its Secret is unusable and dropped with it (S10)", async () => {
  const clock = createManualClock();
  const store = createMemoryCluster(clock).client();
  const holder = createKeyPairHolder("impersonation-proxy-signing-cert", "signing");
  const controllers = createProxySignerControllers({
    store,
    clock,
    log: silentLogger,
    holder,
    namespace: "ns",
    secretName: "signer",
    labels: { app: "a" },
  });
  const [observer, manager] = controllers;
  assert.ok(observer !== undefined && manager !== undefined);
  const { signal } = new AbortController();
  await manager.reconcile(signal);
  const secret = await store.get(secrets, key);
  assert.deepEqual(Object.keys(secret.data ?? {}), ["caCertificate", "caCertificatePrivateKey"]);
  assert.deepEqual(secret.metadata.labels, { app: "a" });
  const [ca] = parseCertificateBundle(secretTexts(secret)["caCertificate"] ?? "");
  assert.equal(ca?.x509.subject, "CN=Pinniped Impersonation Proxy Signer CA");
  assert.equal(ca.notAfter.getTime() - clock.now(), 365 * 24 * 3600 * 1000);
  await observer.reconcile(signal);
  const loaded = holder.current;
  assert.equal(loaded?.certificatePem, secretTexts(secret)["caCertificate"]);

  await manager.reconcile(signal);
  assert.equal((await store.get(secrets, key)).metadata.uid, secret.metadata.uid, "it is never made twice");

  await store.update(secrets, { ...secret, data: secretData({ caCertificate: "bad" }) });
  await observer.reconcile(signal);
  assert.equal(holder.current, loaded);

  await store.delete(secrets, key);
  await observer.reconcile(signal);
  assert.equal(holder.current, undefined);
});
