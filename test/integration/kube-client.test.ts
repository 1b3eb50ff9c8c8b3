import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";

import { startCluster, type Cluster } from "../../hack/cluster/cluster.ts";
import { systemClock } from "../../src/clock.ts";
import { KubernetesApiError, isAlreadyExists, isConflict, isNotFound } from "../../src/kube/api-error.ts";
import { createKubernetesClient, errorOfEvent } from "../../src/kube/client.ts";
import { createClusterStore } from "../../src/kube/cluster-store.ts";
import { kubeconfigEndpoint } from "../../src/kube/configuration.ts";
import type { KubernetesClient } from "../../src/kube/kubernetes-client.ts";
import { configMaps, secrets, type KubernetesObject, type ResourceType } from "../../src/kube/objects.ts";
import {
  emptyMetadata,
  subjectAccessReviews,
  tokenRequests,
  tokenReviews,
} from "../../src/kube/resources.ts";
import { silentLogger } from "../../src/telemetry/log.ts";

const namespace = "default";

interface Thing extends KubernetesObject {
  readonly spec?: { readonly value?: string };
  readonly status?: { readonly seen?: string };
}

const things: ResourceType<Thing> = {
  group: "things.concierge.pinniped.dev",
  version: "v1",
  kind: "Thing",
  plural: "things",
  namespaced: false,
};

describe("the Kubernetes client against a real kube-apiserver", () => {
  let folder: string;
  let cluster: Cluster;
  const open: KubernetesClient[] = [];
  let connections = 0;
  let opened = 0;

  const connect = async (path: string, apiGroupSuffix?: string): Promise<KubernetesClient> => {
    const client = createKubernetesClient({
      endpoint: await kubeconfigEndpoint({ path }),
      clock: systemClock,
      log: silentLogger,
      userAgent: "lanyard/test",
      ...(apiGroupSuffix === undefined ? {} : { apiGroupSuffix }),
      metrics: {
        connection: (_, change) => {
          connections += change;
          opened += Math.max(0, change);
        },
        inFlight: () => {},
        ended: () => {},
      },
    });
    open.push(client);
    return client;
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "kube-client-"));
    cluster = await startCluster({ name: "kube-client", folder, progress: () => {} });
  });
  after(async () => {
    await Promise.all(open.map((client) => client.close()));
    await cluster.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it("makes 20 calls in a row over one TLS connection", async () => {
    const client = await connect(cluster.kubeconfig);
    const before = opened;
    for (let call = 0; call < 20; call++) {
      await client.list(configMaps, { namespace });
    }
    assert.equal(opened - before, 1);
  });

  it("creates, replaces and deletes as a ResourceStore promises", async () => {
    const client = await connect(cluster.kubeconfig);
    const created = await client.create(configMaps, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "verbs", namespace },
      data: { text: "é中😀" },
    });
    assert.equal(created.data?.["text"], "é中😀");
    await assert.rejects(
      client.create(configMaps, { ...created, metadata: { name: "verbs", namespace } }),
      isAlreadyExists,
    );
    const updated = await client.update(configMaps, { ...created, data: { text: "2" } });
    assert.notEqual(updated.metadata.resourceVersion, created.metadata.resourceVersion);
    await assert.rejects(client.update(configMaps, created), isConflict);
    const key = { namespace, name: "verbs" };
    await assert.rejects(client.delete(configMaps, key, { uid: "another" }), isConflict);
    await client.delete(configMaps, key, {
      uid: created.metadata.uid!,
      resourceVersion: updated.metadata.resourceVersion!,
    });
    await assert.rejects(client.get(configMaps, key), isNotFound);
  });

  it("asks for tokens and reviews, with a ServiceAccount's own token", async () => {
    const client = await connect(cluster.kubeconfig);
    await cluster.kubectl(["create", "serviceaccount", "-n", namespace, "asker"]);
    const { status } = await client.review(
      tokenRequests,
      {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenRequest",
        metadata: emptyMetadata,
        spec: { expirationSeconds: 600 },
      },
      undefined,
      { key: { namespace, name: "asker" }, subresource: "token" },
    );
    const review = await client.review(tokenReviews, {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenReview",
      metadata: emptyMetadata,
      spec: { token: status!.token },
    });
    const username = `system:serviceaccount:${namespace}:asker`;
    assert.equal(review.status?.user?.username, username);
    const access = await client.review(subjectAccessReviews, {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SubjectAccessReview",
      metadata: emptyMetadata,
      spec: { user: username, resourceAttributes: { verb: "get", resource: "secrets", namespace } },
    });
    assert.equal(access.status?.allowed, false);
    const path = join(folder, "asker.conf");
    await cluster.serviceAccountKubeconfig(namespace, "asker", path);
    const asker = await connect(path);
    await assert.rejects(asker.list(secrets, { namespace }), (error: unknown) => {
      assert.ok(error instanceof KubernetesApiError);
      assert.equal(error.reason, "Forbidden");
      assert.match(error.message, new RegExp(username));
      return true;
    });
  });

  it("speaks the cluster's group suffix and shows ours, and keeps status and spec apart", async () => {
    const client = await connect(cluster.kubeconfig, "example.com");
    const group = "things.concierge.example.com";
    const made = await client.raw({
      method: "POST",
      path: "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
      body: {
        apiVersion: "apiextensions.k8s.io/v1",
        kind: "CustomResourceDefinition",
        metadata: { name: `things.${group}` },
        spec: {
          group,
          scope: "Cluster",
          names: { kind: "Thing", plural: "things" },
          versions: [
            {
              name: "v1",
              served: true,
              storage: true,
              subresources: { status: {} },
              schema: {
                openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
              },
            },
          ],
        },
      },
    });
    assert.equal(made.status, 201, made.text);
    await until(
      "the kind is served",
      async () => (await client.raw({ method: "GET", path: `/apis/${group}/v1/things` })).status === 200,
    );
    const created = await client.create(things, {
      apiVersion: "things.concierge.pinniped.dev/v1",
      kind: "Thing",
      metadata: { name: "a" },
      spec: { value: "1" },
    });
    assert.equal(created.apiVersion, "things.concierge.pinniped.dev/v1");
    const withStatus = await client.updateStatus(things, {
      ...created,
      spec: { value: "ignored" },
      status: { seen: "1" },
    });
    assert.deepEqual([withStatus.spec?.value, withStatus.status?.seen], ["1", "1"]);
    const withSpec = await client.update(things, {
      ...withStatus,
      spec: { value: "2" },
      status: { seen: "ignored" },
    });
    assert.deepEqual([withSpec.spec?.value, withSpec.status?.seen], ["2", "1"]);
    const { items } = await client.list(things, {});
    assert.deepEqual(items, [withSpec]);
    const owned = await client.create(configMaps, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: {
        name: "owned",
        namespace,
        ownerReferences: [
          { apiVersion: created.apiVersion, kind: "Thing", name: "a", uid: created.metadata.uid! },
        ],
      },
    });
    assert.equal(owned.metadata.ownerReferences?.[0]?.apiVersion, created.apiVersion);
    const seen = await cluster.kubectl([
      "get",
      "configmap",
      "-n",
      namespace,
      "owned",
      "-o",
      "jsonpath={.metadata.ownerReferences[0].apiVersion}",
    ]);
    assert.equal(seen.stdout, `${group}/v1`);
  });

  it("keeps informers right through a restart of the kube-apiserver, and leaves nothing behind", async () => {
    await Promise.all(open.splice(0).map((client) => client.close()));
    await until("no connection", () => connections === 0);
    const atRest = activeResources();
    const client = await connect(cluster.kubeconfig);
    const term = new AbortController();
    const store = createClusterStore({
      client,
      clock: systemClock,
      log: silentLogger,
      leadership: { mayWrite: () => true, signal: () => term.signal },
      ownerReference: () => undefined,
    });
    const maps = store.view(configMaps, { namespace });
    const others = [store.view(secrets), store.view(configMaps, { namespace: "kube-system" })];
    store.start();
    await store.waitForSync(AbortSignal.timeout(30_000), 30_000);
    const key = { namespace, name: "restart" };
    const made = await store.create(configMaps, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: key,
      data: { value: "1" },
    });
    await until("the first value", () => maps.get(key)?.data?.["value"] === "1");

    await cluster.stopApiServer();
    await assert.rejects(store.get(configMaps, key), { code: "kubernetes.unreachable" });
    assert.equal(maps.get(key)?.data?.["value"], "1");
    assert.ok(others.every((view) => view.hasSynced()));
    await cluster.startApiServer();
    const started = performance.now();
    await store.update(configMaps, { ...made, data: { value: "2" } });
    await until("the second value", () => maps.get(key)?.data?.["value"] === "2");
    assert.ok(performance.now() - started < 10_000, "within 10 s");

    // The watch cache of the new process knows nothing this old.
    const old = client.watch(configMaps, { namespace, timeoutSeconds: 30, resourceVersion: "1" });
    const codes: unknown[] = [];
    for await (const event of old) {
      codes.push(event.type, errorOfEvent(event).httpStatus);
    }
    assert.deepEqual(codes, ["ERROR", 410]);

    await store.stop();
    await client.close();
    await until("no connection", () => connections === 0);
    await until("nothing left behind", () => activeResources() <= atRest);
  });
});

function activeResources(): number {
  return process.getActiveResourcesInfo().filter((name) => /TCP|TLS|Timeout/.test(name)).length;
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 30_000;
  while (!(await condition())) {
    assert.ok(performance.now() < end, `in vain: ${what}`);
    await setTimeout(20);
  }
}
