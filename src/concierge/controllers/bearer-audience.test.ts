import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../clock.ts";
import { secrets } from "../../kube/objects.ts";
import type { KubernetesObject, ResourceType } from "../../kube/objects.ts";
import { credentialIssuers } from "../../resources/credential-issuer.ts";
import type { CredentialIssuer } from "../../resources/credential-issuer.ts";
import { silentLogger } from "../../telemetry/log.ts";
import { createHolder } from "../state/holder.ts";
import { createMemoryCluster } from "../testing/memory-store.ts";
import { createBearerAudienceController, createStoredBearerAudienceController } from "./bearer-audience.ts";

const { signal } = new AbortController();
const namespaces: ResourceType<KubernetesObject> = {
  group: "",
  version: "v1",
  kind: "Namespace",
  plural: "namespaces",
  namespaced: false,
};

test("S9: the audience is made of the UIDs of kube-system and of our CredentialIssuer", async () => {
  const store = createMemoryCluster(createManualClock()).client();
  const bearerAudience = createHolder<string | undefined>(undefined);
  const controller = createBearerAudienceController({
    store,
    bearerAudience,
    credentialIssuerName: "app-config",
  });
  let calls = 0;
  const stop = controller.watch(() => calls++);
  const issuer: CredentialIssuer = {
    apiVersion: "config.concierge.pinniped.dev/v1alpha1",
    kind: "CredentialIssuer",
    metadata: { name: "app-config" },
    spec: { impersonationProxy: { mode: "disabled", service: { type: "None" } } },
  };
  await controller.reconcile(signal);
  for (const name of ["default", "kube-system"]) {
    await store.create(namespaces, { apiVersion: "v1", kind: "Namespace", metadata: { name } });
  }
  const uid = (await store.get(namespaces, { name: "kube-system" })).metadata.uid;
  await controller.reconcile(signal);
  assert.equal(bearerAudience.current, undefined);
  await store.create(credentialIssuers, { ...issuer, metadata: { name: "other" } });
  const first = await store.create(credentialIssuers, issuer);
  assert.equal(calls, 2);
  await controller.reconcile(signal);
  assert.equal(bearerAudience.current, `urn:lanyard:${uid}:${first.metadata.uid}`);

  await store.delete(credentialIssuers, { name: "app-config" });
  await controller.reconcile(signal);
  assert.equal(
    bearerAudience.current,
    `urn:lanyard:${uid}:${first.metadata.uid}`,
    "its tokens are known still",
  );
  const second = await store.create(credentialIssuers, issuer);
  await controller.reconcile(signal);
  assert.equal(bearerAudience.current, `urn:lanyard:${uid}:${second.metadata.uid}`);
  stop();
});

test("S22: without a cluster it is made of stored UIDs, made once for each folder", async () => {
  const audiences: (string | undefined)[] = [];
  for (let folder = 0; folder < 2; folder++) {
    const store = createMemoryCluster(createManualClock()).client();
    const bearerAudience = createHolder<string | undefined>(undefined);
    const key = { namespace: "standalone", name: "uids" };
    const controller = createStoredBearerAudienceController({
      store,
      log: silentLogger,
      bearerAudience,
      namespace: "standalone",
      secretName: "uids",
      labels: {},
    });
    await controller.reconcile(signal);
    await controller.reconcile(signal);
    const audience = bearerAudience.current;
    assert.match(audience ?? "", /^urn:lanyard:[0-9a-f-]{36}:[0-9a-f-]{36}$/);
    const secret = await store.get(secrets, key);
    await store.update(secrets, { ...secret, data: {} });
    await controller.reconcile(signal);
    assert.equal(bearerAudience.current, audience);
    audiences.push(audience);
  }
  assert.notEqual(audiences[0], audiences[1]);
});
