import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";

import { createManualClock, systemClock } from "../clock.ts";
import { silentLogger } from "../telemetry/log.ts";
import { createKubernetesClient } from "./client.ts";
import { createClusterStore, type ClusterStore, type ClusterStoreOptions } from "./cluster-store.ts";
import type { KubernetesClient } from "./kubernetes-client.ts";
import { configMaps, secrets, type ConfigMap, type OwnerReference } from "./objects.ts";
import { eventually } from "./testing/eventually.ts";
import { createTestApiServer, type TestApiServer } from "./testing/test-api-server.ts";

const key = { namespace: "default", name: "one" };
const object: ConfigMap = { apiVersion: "v1", kind: "ConfigMap", metadata: key };
const owner: OwnerReference = { apiVersion: "apps/v1", kind: "Deployment", name: "d", uid: "1" };

describe("the cluster store", () => {
  let server: TestApiServer;
  let client: KubernetesClient;
  let term: AbortController;
  const stores: ClusterStore[] = [];

  const open = (options: Partial<ClusterStoreOptions> = {}): ClusterStore => {
    const store = createClusterStore({
      client,
      clock: systemClock,
      log: silentLogger,
      leadership: { mayWrite: () => !term.signal.aborted, signal: () => term.signal },
      ownerReference: () => undefined,
      ...options,
    });
    stores.push(store);
    return store;
  };

  beforeEach(async () => {
    term = new AbortController();
    server = await createTestApiServer();
    client = createKubernetesClient({
      endpoint: { serverUrl: server.serverUrl, certificateAuthority: { text: server.caPem } },
      clock: systemClock,
      log: silentLogger,
      userAgent: "lanyard/test",
    });
  });
  afterEach(async () => {
    await Promise.all(stores.splice(0).map((store) => store.stop()));
    await client.close();
    await server.close();
  });

  it("rejects every write without a call when it does not lead", async () => {
    const store = open();
    term.abort();
    for (const write of [
      () => store.create(configMaps, object),
      () => store.update(configMaps, object),
      () => store.updateStatus(configMaps, object),
      () => store.delete(configMaps, key),
    ]) {
      await assert.rejects(write, {
        code: "leadership.required",
        message: "request mutation failed: write attempt rejected as client is not leader",
      });
    }
    assert.equal(server.connectionCount(), 0);
    await store.get(configMaps, key);
  });

  it("ends a write under way when leadership is lost", async () => {
    const store = open();
    server.intercept(() => true);
    const writing = store.update(configMaps, object);
    await eventually("the write", () => server.requests.length === 1);
    term.abort();
    await assert.rejects(writing, { code: "leadership.required" });
    await eventually("a closed connection", () => server.openConnections() === 0);
  });

  it("puts labels and an owner on what it creates, and on nothing else", async () => {
    const asked: unknown[] = [];
    const store = open({
      labels: { app: "concierge", team: "a" },
      ownerReference: (namespace) => {
        asked.push(namespace);
        return owner;
      },
    });
    const created = await store.create(configMaps, {
      ...object,
      metadata: { ...key, labels: { team: "b" } },
    });
    assert.deepEqual(created.metadata, {
      ...key,
      labels: { app: "concierge", team: "b" },
      ownerReferences: [owner],
    });
    const other = { ...owner, uid: "2" };
    const owned = await store.create(configMaps, {
      ...object,
      metadata: { ...key, ownerReferences: [other] },
    });
    assert.deepEqual(owned.metadata.ownerReferences, [other]);
    assert.deepEqual(await store.update(configMaps, object), object);
    assert.deepEqual(await store.updateStatus(configMaps, object), object);
    assert.deepEqual(asked, ["default"]);
  });

  it("shares one watch per kind and scope, begun by start", async () => {
    const store = open();
    const view = store.view(configMaps, { namespace: "default" });
    assert.equal(store.view(configMaps, { namespace: "default" }), view);
    assert.notEqual(store.view(configMaps, { namespace: "default", labelSelector: "a=b" }), view);
    assert.equal(server.requests.length, 0);
    server.put("one", "1");
    store.start();
    await store.waitForSync(AbortSignal.timeout(10_000), 10_000);
    assert.equal(view.get(key)?.data?.["value"], "1");
    await eventually("two watches", () => server.openWatches() === 2);
    const late = store.view(configMaps);
    await eventually("a late view", () => late.hasSynced());
  });

  it("names what has not synced in time", async () => {
    const clock = createManualClock();
    const store = open({ clock });
    server.intercept((request, response) => {
      if (request.url.pathname.endsWith("/secrets")) {
        response.writeHead(403).end();
        return true;
      }
      return false;
    });
    const synced = store.view(configMaps);
    store.view(secrets, { namespace: "kube-system" });
    store.start();
    await eventually("one of two", () => synced.hasSynced());
    const waiting = assert.rejects(store.waitForSync(new AbortController().signal, 60_000), {
      code: "kubernetes.sync.timeout",
      message:
        /^not synced within 60000 ms: secrets in namespace kube-system; the first because of: .*403.*; check the ServiceAccount's rights to list and watch, and the way to the API server$/,
    });
    await clock.advance(60_000);
    await waiting;
    await assert.rejects(store.waitForSync(AbortSignal.abort(), 60_000), { code: "kubernetes.sync.timeout" });
  });
});
