import assert from "node:assert/strict";
import { test } from "node:test";
import { services } from "../../../kube/resources.ts";
import type { Service } from "../../../kube/resources.ts";
import { createProxyFixture, labels, names, namespace } from "./testing/proxy-fixture.ts";
import type { ProxyFixture } from "./testing/proxy-fixture.ts";

const loadBalancer = names.impersonationLoadBalancerService;
const clusterIP = names.impersonationClusterIPService;
const ANNOTATION_KEYS = "credentialissuer.pinniped.dev/annotation-keys";
const SPEC_FIELDS = "credentialissuer.pinniped.dev/service-fields";

async function configure(fixture: ProxyFixture, service: object): Promise<Service | undefined> {
  await fixture.configure({ impersonationProxy: { mode: "enabled", service } });
  await fixture.settle();
  return await fixture.get(services, loadBalancer);
}

/** Changes the Service as another controller or an administrator would. */
async function edit(fixture: ProxyFixture, change: (service: Service) => Service): Promise<void> {
  const service = await fixture.get(services, loadBalancer);
  assert.ok(service !== undefined);
  const { resourceVersion: _, ...metadata } = change(service).metadata;
  await fixture.admin.update(services, { ...change(service), metadata });
}

test("a LoadBalancer Service is made as the contract says (6.2, 6.6)", async () => {
  const fixture = await createProxyFixture();
  const service = await configure(fixture, {
    type: "LoadBalancer",
    loadBalancerIP: "192.0.2.1",
    annotations: { b: "2", a: "1" },
  });
  assert.deepEqual(service?.metadata.labels, labels);
  assert.deepEqual(service.metadata.annotations, { a: "1", b: "2", [ANNOTATION_KEYS]: '["a","b"]' });
  assert.deepEqual(service.spec, {
    type: "LoadBalancer",
    ports: [{ protocol: "TCP", port: 443, targetPort: 8444 }],
    selector: { app: "my-app" },
    loadBalancerIP: "192.0.2.1",
  });
});

test("a plain Service carries no annotation at all", async () => {
  const fixture = await createProxyFixture();
  const service = await configure(fixture, {});
  assert.equal(service?.metadata.annotations, undefined);
});

test("labels, type, selector and address are put back, ports and others' annotations are not", async () => {
  const fixture = await createProxyFixture();
  await configure(fixture, { annotations: { a: "1" } });
  const ports = [{ name: "x", protocol: "TCP", port: 444, targetPort: 1, nodePort: 30_000 }];
  await edit(fixture, (service) => ({
    ...service,
    metadata: {
      ...service.metadata,
      labels: { app: "other", more: "x" },
      annotations: { ...service.metadata.annotations, a: "changed", theirs: "y" },
    },
    spec: {
      ...service.spec,
      type: "NodePort",
      selector: { some: "thing" },
      loadBalancerIP: "192.0.2.9",
      ports,
      externalTrafficPolicy: "Local",
    },
  }));
  await fixture.settle();
  const service = await fixture.get(services, loadBalancer);
  assert.deepEqual(service?.metadata.labels, labels);
  assert.deepEqual(service.metadata.annotations, { a: "1", theirs: "y", [ANNOTATION_KEYS]: '["a"]' });
  assert.deepEqual(service.spec, {
    type: "LoadBalancer",
    selector: { app: "my-app" },
    ports,
    externalTrafficPolicy: "Local",
  });
});

test("annotations follow the spec and leave with it", async () => {
  const fixture = await createProxyFixture();
  await configure(fixture, { annotations: { a: "1", b: "2" } });
  await edit(fixture, (service) => ({
    ...service,
    metadata: { ...service.metadata, annotations: { ...service.metadata.annotations, theirs: "y" } },
  }));
  const fewer = await configure(fixture, { annotations: { b: "3" } });
  assert.deepEqual(fewer?.metadata.annotations, { b: "3", theirs: "y", [ANNOTATION_KEYS]: '["b"]' });
  const none = await configure(fixture, {});
  assert.deepEqual(none?.metadata.annotations, { theirs: "y" });
});

test("an unchanged Service is not written again", async () => {
  const fixture = await createProxyFixture();
  await configure(fixture, {
    annotations: { a: "1" },
    loadBalancerSourceRanges: ["192.0.2.0/24"],
    loadBalancerClass: "example.com/x",
  });
  const writes = fixture.cluster.writes.length;
  await fixture.once();
  assert.deepEqual(fixture.cluster.writes.slice(writes), []);
});

test("source ranges are passed on, follow the spec, and leave with it", async () => {
  const fixture = await createProxyFixture();
  const first = await configure(fixture, { loadBalancerSourceRanges: ["192.0.2.0/24"] });
  assert.deepEqual(first?.spec?.loadBalancerSourceRanges, ["192.0.2.0/24"]);
  assert.deepEqual(first.metadata.annotations, { [SPEC_FIELDS]: '["loadBalancerSourceRanges"]' });
  const second = await configure(fixture, { loadBalancerSourceRanges: ["198.51.100.0/24"] });
  assert.deepEqual(second?.spec?.loadBalancerSourceRanges, ["198.51.100.0/24"]);
  const none = await configure(fixture, {});
  assert.equal(none?.spec?.loadBalancerSourceRanges, undefined);
  assert.equal(none?.metadata.annotations, undefined);
});

test("source ranges that an administrator gave the Service stay while the field is absent", async () => {
  const fixture = await createProxyFixture();
  await configure(fixture, {});
  await edit(fixture, (service) => ({
    ...service,
    spec: { ...service.spec, loadBalancerSourceRanges: ["192.0.2.0/24"] },
  }));
  await fixture.settle();
  const service = await configure(fixture, { annotations: { a: "1" } });
  assert.deepEqual(service?.spec?.loadBalancerSourceRanges, ["192.0.2.0/24"]);
});

test("another load balancer class makes the Service anew, as the API server changes none", async () => {
  const fixture = await createProxyFixture();
  const first = await configure(fixture, { loadBalancerClass: "example.com/a" });
  assert.equal(first?.spec?.loadBalancerClass, "example.com/a");
  const same = await configure(fixture, { loadBalancerClass: "example.com/a", annotations: { a: "1" } });
  assert.equal(same?.metadata.uid, first.metadata.uid);
  const second = await configure(fixture, { loadBalancerClass: "example.com/b" });
  assert.equal(second?.spec?.loadBalancerClass, "example.com/b");
  assert.notEqual(second.metadata.uid, first.metadata.uid);
  const none = await configure(fixture, {});
  assert.equal(none?.spec?.loadBalancerClass, undefined);
  assert.notEqual(none?.metadata.uid, second.metadata.uid);
});

test("a class that the cluster filled in is left alone", async () => {
  const fixture = await createProxyFixture();
  const first = await configure(fixture, {});
  await edit(fixture, (service) => ({
    ...service,
    spec: { ...service.spec, loadBalancerClass: "cluster.example/default" },
  }));
  const service = await configure(fixture, { annotations: { a: "1" } });
  assert.equal(service?.spec?.loadBalancerClass, "cluster.example/default");
  assert.equal(service.metadata.uid, first?.metadata.uid);
});

test("a Service on its way out is neither changed nor made twice", async () => {
  const fixture = await createProxyFixture();
  await configure(fixture, {});
  await edit(fixture, (service) => ({
    ...service,
    metadata: { ...service.metadata, deletionTimestamp: "2026-01-01T00:00:00Z" },
    status: { loadBalancer: { ingress: [{ ip: "192.0.2.1" }] } },
  }));
  const before = fixture.cluster.writes.length;
  await configure(fixture, { annotations: { a: "1" } });
  assert.deepEqual(
    fixture.cluster.writes.slice(before).filter((write) => write.includes(" services/")),
    [],
  );
  assert.equal((await fixture.strategy())?.reason, "Pending", "its address is on its way out too");
  await fixture.admin.delete(services, { namespace, name: loadBalancer });
  await fixture.settle();
  assert.deepEqual((await fixture.get(services, loadBalancer))?.metadata.annotations, {
    a: "1",
    [ANNOTATION_KEYS]: '["a"]',
  });
});

test("a ClusterIP Service replaces the load balancer, None both", async () => {
  const fixture = await createProxyFixture();
  await configure(fixture, { loadBalancerIP: "192.0.2.1" });
  const service = {
    type: "ClusterIP",
    loadBalancerIP: "192.0.2.1",
    loadBalancerSourceRanges: ["10.0.0.0/8"],
  };
  assert.equal(await configure(fixture, service), undefined);
  const made = await fixture.get(services, clusterIP);
  assert.deepEqual(made?.spec, {
    type: "ClusterIP",
    ports: [{ protocol: "TCP", port: 443, targetPort: 8444 }],
    selector: { app: "my-app" },
  });
  assert.equal((await fixture.strategy())?.reason, "Pending");
  await fixture.admin.update(services, {
    ...made,
    spec: { ...made.spec, clusterIP: "10.0.0.1", clusterIPs: ["10.0.0.1", "fd00::1"] },
  });
  await fixture.settle();
  assert.equal((await fixture.strategy())?.frontend?.impersonationProxyInfo?.endpoint, "https://10.0.0.1");
  await fixture.configure({
    impersonationProxy: { mode: "enabled", service: { type: "None" }, externalEndpoint: "x.example" },
  });
  await fixture.settle();
  assert.equal(await fixture.get(services, clusterIP), undefined);
});

test("only the Service that was seen is deleted", async () => {
  const fixture = await createProxyFixture();
  await configure(fixture, {});
  const [service] = [await fixture.get(services, loadBalancer)];
  assert.ok(service !== undefined);
  fixture.cluster.beforeWrite = async (write) => {
    if (write === `delete services/${namespace}/${loadBalancer}`) {
      fixture.cluster.beforeWrite = undefined;
      await fixture.admin.update(services, { ...service, metadata: { name: loadBalancer, namespace } });
    }
  };
  await fixture.configure({ impersonationProxy: { mode: "disabled" } });
  assert.ok((await fixture.once()).error !== undefined);
  assert.ok((await fixture.get(services, loadBalancer)) !== undefined);
  await fixture.settle();
  assert.equal(await fixture.get(services, loadBalancer), undefined);
});
