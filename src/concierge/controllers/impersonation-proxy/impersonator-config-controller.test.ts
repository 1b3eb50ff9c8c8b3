import assert from "node:assert/strict";
import { test } from "node:test";
import { KubernetesApiError } from "../../../kube/api-error.ts";
import { secrets } from "../../../kube/objects.ts";
import { services } from "../../../kube/resources.ts";
import { credentialIssuers } from "../../../resources/credential-issuer.ts";
import { createProxyFixture, externalOnly, names, namespace } from "./testing/proxy-fixture.ts";
import type { ProxyFixture } from "./testing/proxy-fixture.ts";

const error = (reason: string, message: string): object => ({
  type: "ImpersonationProxy",
  status: "Error",
  reason,
  message,
});
const byConfiguration = error("Disabled", "impersonation proxy was explicitly disabled by configuration");
const byNodes = error("Disabled", "automatically determined that impersonation proxy should be disabled");
const waiting = error("Pending", "waiting for load balancer Service to be assigned IP or hostname");

async function ca(fixture: ProxyFixture): Promise<string> {
  const secret = await fixture.get(secrets, names.impersonationCACertificateSecret);
  return secret?.data?.["ca.crt"] ?? "";
}

async function listening(fixture: ProxyFixture, endpoint: string): Promise<object> {
  return {
    type: "ImpersonationProxy",
    status: "Success",
    reason: "Listening",
    message: "impersonation proxy is ready to accept client connections",
    frontend: {
      type: "ImpersonationProxy",
      impersonationProxyInfo: { endpoint, certificateAuthorityData: await ca(fixture) },
    },
  };
}

test("disabled: nothing runs, whatever else the spec says", async () => {
  const fixture = await createProxyFixture({ signer: false });
  fixture.nodes = new Error("nobody is to ask");
  await fixture.configure({ mode: "disabled" });
  await fixture.configure({ impersonationProxy: { mode: "disabled", service: { type: "?" } } });
  await fixture.settle();
  assert.deepEqual(await fixture.strategy(), byConfiguration);
  assert.equal(fixture.state.proxySettings.current, undefined);
  assert.equal(fixture.nodeLists, 0);
});

test("auto: control-plane nodes decide, and are looked at once", async () => {
  const labelled: readonly Readonly<Record<string, string>>[] = [
    { "node-role.kubernetes.io/control-plane": "" },
    { "node-role.kubernetes.io/master": "" },
    { "kubernetes.io/node-role": "master" },
    { "kubernetes.io/node-role": "control-plane" },
  ];
  for (const label of labelled) {
    const fixture = await createProxyFixture();
    fixture.nodes = [{}, label];
    await fixture.configure({ impersonationProxy: { ...externalOnly, mode: "auto" } });
    await fixture.settle();
    assert.deepEqual(await fixture.strategy(), byNodes);
    assert.equal(fixture.state.proxySettings.current, undefined);
    await fixture.once();
    assert.equal(fixture.nodeLists, 1);
  }
  const hosted = await createProxyFixture();
  hosted.nodes = [{ "kubernetes.io/node-role": "worker" }];
  await hosted.configure({ impersonationProxy: { ...externalOnly, mode: "auto" } });
  await hosted.settle();
  assert.deepEqual(await hosted.strategy(), await listening(hosted, "https://proxy.example.com"));
});

test("auto: nodes that cannot be listed are asked for again", async () => {
  const fixture = await createProxyFixture();
  await fixture.configure({ impersonationProxy: { ...externalOnly, mode: "auto" } });
  fixture.nodes = [];
  assert.match(String((await fixture.once()).error), /no nodes found/);
  assert.deepEqual(await fixture.strategy(), error("ErrorDuringSetup", "no nodes found"));
  fixture.nodes = new Error("boom");
  assert.ok((await fixture.once()).error !== undefined);
  assert.deepEqual(await fixture.strategy(), error("ErrorDuringSetup", "error fetching nodes: boom"));
  fixture.nodes = [{}];
  await fixture.settle();
  assert.deepEqual(await fixture.strategy(), await listening(fixture, "https://proxy.example.com"));
});

test("a faulty spec is reported, waits for its change, and leaves a running proxy alone", async () => {
  const fixture = await createProxyFixture();
  await fixture.configure({ impersonationProxy: externalOnly });
  await fixture.settle();
  const before = fixture.state.proxyServingCertificate.current;
  assert.ok(before !== undefined);
  await fixture.configure({ impersonationProxy: { ...externalOnly, externalEndpoint: "a:b:c" } });
  assert.deepEqual(await fixture.once(), { result: undefined });
  assert.deepEqual(
    await fixture.strategy(),
    error(
      "ErrorDuringSetup",
      'could not load CredentialIssuer spec.impersonationProxy: invalid ExternalEndpoint "a:b:c": host "a:b:c" is not a valid hostname or IP address',
    ),
  );
  assert.deepEqual(fixture.state.proxySettings.current, { port: 8444 });
  assert.equal(fixture.state.proxyServingCertificate.current, before);
  await fixture.configure({});
  await fixture.settle();
  assert.deepEqual(
    await fixture.strategy(),
    error("ErrorDuringSetup", "could not load CredentialIssuer: spec.impersonationProxy is nil"),
  );
});

test("a load balancer: Pending until it has a name, then Listening under it", async () => {
  const fixture = await createProxyFixture();
  await fixture.configure({ impersonationProxy: { mode: "enabled" } });
  await fixture.settle();
  assert.deepEqual(await fixture.strategy(), waiting);
  assert.equal(await fixture.get(secrets, names.impersonationTLSCertificateSecret), undefined);
  const name = names.impersonationLoadBalancerService;
  const setIngress = async (ingress: readonly object[]): Promise<void> => {
    const service = await fixture.admin.get(services, { namespace, name });
    await fixture.admin.updateStatus(services, {
      ...service,
      status: { loadBalancer: { ingress } },
    });
    await fixture.settle();
  };
  await setIngress([{ ip: "nonsense" }]);
  assert.deepEqual(
    await fixture.strategy(),
    error("ErrorDuringSetup", "could not find valid IP addresses or hostnames from load balancer ns/my-lb"),
  );
  await setIngress([{ ip: "192.0.2.7" }]);
  assert.deepEqual(await fixture.strategy(), await listening(fixture, "https://192.0.2.7"));
  await setIngress([{ hostname: "lb.example.com" }]);
  assert.deepEqual(await fixture.strategy(), await listening(fixture, "https://lb.example.com"));
  await setIngress([]);
  assert.deepEqual(await fixture.strategy(), waiting);
  assert.equal(await fixture.get(secrets, names.impersonationTLSCertificateSecret), undefined);
});

test("what lost a race is Pending and repeated; other refusals are errors", async () => {
  const refusal = (code: number, reason: string): KubernetesApiError =>
    new KubernetesApiError({
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      message: `it said ${reason}`,
      reason,
      code,
    });
  const expected = { Conflict: "Pending", AlreadyExists: "Pending", Forbidden: "ErrorDuringSetup" };
  for (const [reason, strategyReason] of Object.entries(expected)) {
    const fixture = await createProxyFixture();
    await fixture.configure({ impersonationProxy: { mode: "enabled" } });
    fixture.cluster.beforeWrite = (write) => {
      if (write.startsWith("create services")) {
        throw refusal(409, reason);
      }
    };
    assert.match(String((await fixture.once()).error), /it said/);
    assert.deepEqual(await fixture.strategy(), error(strategyReason, `it said ${reason}`));
  }
});

test("the signer: Pending while its Secret is not there or not loaded, an error when it cannot be used", async () => {
  const fixture = await createProxyFixture({ signer: false });
  await fixture.configure({ impersonationProxy: externalOnly });
  await fixture.settle();
  const prefix = "the impersonator's credential signing secret: ";
  assert.deepEqual(
    await fixture.strategy(),
    error("Pending", `could not load ${prefix}secret "my-signer" not found`),
  );
  assert.deepEqual(fixture.state.proxySettings.current, { port: 8444 }, "the server runs already");
  await fixture.makeSigner();
  const loaded = fixture.state.proxySigningKey.current;
  fixture.state.proxySigningKey.set(undefined);
  await fixture.settle();
  assert.deepEqual(
    await fixture.strategy(),
    error("Pending", `could not load ${prefix}secret "my-signer" is not loaded yet`),
  );
  fixture.state.proxySigningKey.set(loaded);
  await fixture.settle();
  assert.deepEqual(await fixture.strategy(), await listening(fixture, "https://proxy.example.com"));
  await fixture.makeSecret(names.impersonationSignerSecret, "Opaque", { caCertificate: "x" });
  await fixture.settle();
  assert.deepEqual(
    await fixture.strategy(),
    error(
      "ErrorDuringSetup",
      `could not set ${prefix}impersonation-proxy-signing-cert: attempt to set invalid key pair: could not load CA: tls: failed to find any PEM data in certificate input`,
    ),
  );
});

test("a server that does not start is reported and tried again, later and later", async () => {
  const fixture = await createProxyFixture();
  fixture.server = { failsWith: "could not detect if anonymous authentication is enabled: x" };
  let asked = 0;
  fixture.state.proxySettings.subscribe((settings) => {
    asked += settings === undefined ? 0 : 1;
  });
  await fixture.configure({ impersonationProxy: externalOnly });
  for (const seconds of [1, 2, 4, 8, 16, 30, 30]) {
    const { result } = await fixture.once();
    assert.deepEqual(result, { requeueAfterMilliseconds: seconds * 1000 });
    const reported = await fixture.strategy();
    assert.deepEqual(
      reported,
      error("ErrorDuringSetup", "could not detect if anonymous authentication is enabled: x"),
    );
    const before = asked;
    assert.deepEqual((await fixture.once()).result, result, "events in between do not ask sooner");
    assert.equal(asked, before);
    await fixture.clock.advance(seconds * 1000);
    await fixture.once();
    assert.equal(asked, before + 1);
    assert.deepEqual(await fixture.strategy(), reported, "it does not flap while it is tried");
  }
  fixture.server = "listens";
  await fixture.once();
  await fixture.clock.advance(30_000);
  await fixture.once();
  await fixture.settle();
  assert.deepEqual(await fixture.strategy(), await listening(fixture, "https://proxy.example.com"));
});

test("a server that died is reported and started again", async () => {
  const fixture = await createProxyFixture();
  await fixture.configure({ impersonationProxy: externalOnly });
  await fixture.settle();
  const running = await fixture.strategy();
  fixture.state.proxyState.set({ phase: "stopped" });
  const { result } = await fixture.once();
  assert.deepEqual(
    await fixture.strategy(),
    error("ErrorDuringSetup", "unexpected shutdown of proxy server"),
  );
  assert.deepEqual(result, { requeueAfterMilliseconds: 1000 });
  await fixture.clock.advance(1000);
  await fixture.once();
  assert.equal(fixture.state.proxyState.current.phase, "listening");
  await fixture.settle();
  assert.deepEqual(await fixture.strategy(), running);
});

test("nobody is told to come before the server listens", async () => {
  const fixture = await createProxyFixture();
  fixture.server = "stands still";
  await fixture.configure({ impersonationProxy: externalOnly });
  await fixture.settle();
  assert.equal(await fixture.strategy(), undefined);
  assert.ok(fixture.state.proxyServingCertificate.current !== undefined);
  fixture.state.proxyState.set({ phase: "listening" });
  await fixture.settle();
  assert.deepEqual(await fixture.strategy(), await listening(fixture, "https://proxy.example.com"));
});

test("changes of the server, the signer and the Secret in use ask for a sync", async () => {
  const fixture = await createProxyFixture();
  await fixture.configure({
    impersonationProxy: { ...externalOnly, tls: { secretName: "outside" } },
  });
  let asked = 0;
  const stop = fixture.controller.watch(() => asked++);
  const expectAsked = async (what: string, change: () => unknown, times = 1): Promise<void> => {
    asked = 0;
    await change();
    assert.equal(asked, times, what);
  };
  await expectAsked("server", () => fixture.state.proxyState.set({ phase: "listening" }));
  await expectAsked("signer", () => fixture.state.proxySigningKey.set(undefined));
  await expectAsked("external Secret", () => fixture.makeSecret("outside", "kubernetes.io/tls", {}));
  await expectAsked("another Secret", () => fixture.makeSecret("other", "kubernetes.io/tls", {}), 0);
  await expectAsked("own Secret", () =>
    fixture.makeSecret(names.impersonationTLSCertificateSecret, "kubernetes.io/tls", {}),
  );
  await expectAsked("CredentialIssuer", () => fixture.configure({}));
  stop();
  await expectAsked("after the end", () => fixture.configure({}), 0);
});

test("disabling stops the server first, waits for it, and keeps the CA for when it is enabled again", async () => {
  const fixture = await createProxyFixture();
  await fixture.configure({ impersonationProxy: { mode: "enabled", externalEndpoint: "a.example.com" } });
  await fixture.settle();
  const authority = await ca(fixture);
  const running = await listening(fixture, "https://a.example.com");
  assert.deepEqual(await fixture.strategy(), running);

  fixture.state.proxyState.set({ phase: "listening" });
  await fixture.configure({ impersonationProxy: { mode: "disabled" } });
  let letGo = (): void => {};
  const unsubscribe = fixture.state.proxySettings.subscribe(() => {
    fixture.state.proxyState.set({ phase: "listening" });
    letGo = () => fixture.state.proxyState.set({ phase: "stopped" });
  });
  const stopping = fixture.once();
  await fixture.clock.advance(10_000);
  assert.ok(fixture.state.proxyServingCertificate.current !== undefined, "it still ends what is in flight");
  assert.deepEqual(await fixture.strategy(), running);
  letGo();
  unsubscribe();
  await stopping;
  await fixture.settle();
  assert.deepEqual(await fixture.strategy(), byConfiguration);
  assert.equal(fixture.state.proxyServingCertificate.current, undefined);
  assert.equal(await fixture.get(services, names.impersonationLoadBalancerService), undefined);
  assert.equal(await fixture.get(secrets, names.impersonationTLSCertificateSecret), undefined);
  assert.equal(await ca(fixture), authority);

  await fixture.configure({ impersonationProxy: { mode: "enabled", externalEndpoint: "a.example.com" } });
  await fixture.settle();
  assert.deepEqual(await fixture.strategy(), running);
});

test("a server that does not end is reported", async () => {
  const fixture = await createProxyFixture();
  await fixture.configure({ impersonationProxy: externalOnly });
  await fixture.settle();
  await fixture.configure({ impersonationProxy: { mode: "disabled" } });
  fixture.state.proxySettings.subscribe(() => fixture.state.proxyState.set({ phase: "listening" }));
  const stopping = fixture.once();
  await fixture.clock.advance(30_000);
  assert.ok((await stopping).error !== undefined);
  assert.deepEqual(
    await fixture.strategy(),
    error("ErrorDuringSetup", "the impersonation proxy's server did not end within 30 seconds"),
  );
});

test("a replica that does not lead does all that is local, writes nothing and does not spin", async () => {
  const fixture = await createProxyFixture();
  fixture.leads = false;
  await fixture.configure({ impersonationProxy: externalOnly });
  const writes = fixture.cluster.writes.length;
  assert.deepEqual(await fixture.once(), { result: undefined });
  assert.equal(fixture.cluster.writes.length, writes);
  assert.deepEqual(fixture.state.proxySettings.current, { port: 8444 });
  assert.equal(fixture.state.proxyServingCertificate.current, undefined);

  fixture.leads = true;
  await fixture.settle();
  const pair = fixture.state.proxyServingCertificate.current;
  fixture.leads = false;
  fixture.state.proxyServingCertificate.set(undefined);
  await fixture.once();
  assert.deepEqual(fixture.state.proxyServingCertificate.current, pair, "what the leader made is loaded");

  await fixture.configure({ impersonationProxy: { ...externalOnly, externalEndpoint: "b.example.com" } });
  assert.deepEqual(await fixture.once(), { result: undefined });
  assert.deepEqual(
    fixture.state.proxyServingCertificate.current,
    pair,
    "kept until the leader has a better one",
  );

  await fixture.configure({ impersonationProxy: { mode: "disabled" } });
  assert.deepEqual(await fixture.once(), { result: undefined });
  assert.equal(fixture.state.proxySettings.current, undefined);
  assert.equal(fixture.state.proxyServingCertificate.current, undefined);
  assert.ok((await fixture.get(secrets, names.impersonationTLSCertificateSecret)) !== undefined);
});

test("a CredentialIssuer that is gone leaves everything as it is", async () => {
  const fixture = await createProxyFixture();
  await fixture.configure({ impersonationProxy: externalOnly });
  await fixture.settle();
  await fixture.admin.delete(credentialIssuers, { name: names.credentialIssuer });
  assert.deepEqual(await fixture.once(), { result: undefined });
  assert.deepEqual(fixture.state.proxySettings.current, { port: 8444 });
  assert.ok(fixture.state.proxyServingCertificate.current !== undefined);
});

test("a status that was changed meanwhile is written again from the next copy", async () => {
  const fixture = await createProxyFixture();
  await fixture.configure({ impersonationProxy: { mode: "disabled" } });
  fixture.cluster.beforeWrite = () => {
    throw new KubernetesApiError({
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      message: "changed",
      reason: "Conflict",
      code: 409,
    });
  };
  assert.match(String((await fixture.once()).error), /failed to update CredentialIssuer status: changed/);
});

test("what of the deny list is not enforced stands in the strategy's message (S15)", async () => {
  const fixture = await createProxyFixture();
  await fixture.configure({ impersonationProxy: externalOnly });
  fixture.state.denyList.set({ entries: [], problems: ["entry 2: unknown key", "entry 5: no until"] });
  await fixture.settle();
  const plain = await listening(fixture, "https://proxy.example.com");
  assert.deepEqual(await fixture.strategy(), {
    ...plain,
    message:
      "impersonation proxy is ready to accept client connections; the deny list holds what is not enforced: entry 2: unknown key (and 1 more)",
  });
  fixture.state.denyList.set({ entries: [], problems: [] });
  await fixture.settle();
  assert.deepEqual(await fixture.strategy(), plain);
});
