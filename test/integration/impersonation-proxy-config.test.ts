import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { after, before, describe, it } from "node:test";
import { type Cluster, startCluster } from "../../hack/cluster/cluster.ts";
import { systemClock } from "../../src/clock.ts";
import { createAuthenticatorCache } from "../../src/concierge/authenticators/authenticator-cache.ts";
import { createImpersonatorConfigController } from "../../src/concierge/controllers/impersonation-proxy/impersonator-config-controller.ts";
import { createConciergeState } from "../../src/concierge/state/state.ts";
import type { WritableConciergeState } from "../../src/concierge/state/state.ts";
import { createKubernetesClient } from "../../src/kube/client.ts";
import { createClusterStore } from "../../src/kube/cluster-store.ts";
import { kubeconfigEndpoint } from "../../src/kube/configuration.ts";
import { runControllers } from "../../src/kube/controller-runtime.ts";
import type { Secret } from "../../src/kube/objects.ts";
import type { Service } from "../../src/kube/resources.ts";
import { createCertificateAuthority, issueServingCertificate } from "../../src/pki/certificate-authority.ts";
import type { CredentialIssuer } from "../../src/resources/credential-issuer.ts";
import type { CredentialIssuerStrategy } from "../../src/resources/credential-issuer-status.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { chartFolder, render } from "./chart-render.ts";
import { kubectl } from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";

const namespace = "concierge";
const app = "lanyard-concierge";
const proxy = `${app}-impersonation-proxy`;
const names = {
  credentialIssuer: `${app}-config`,
  impersonationLoadBalancerService: `${proxy}-load-balancer`,
  impersonationClusterIPService: `${proxy}-cluster-ip`,
  impersonationTLSCertificateSecret: `${proxy}-tls-serving-certificate`,
  impersonationCACertificateSecret: `${proxy}-ca-certificate`,
  impersonationSignerSecret: `${proxy}-signer-ca-certificate`,
};
const loadBalancer = `service/${names.impersonationLoadBalancerService}`;
const servingSecret = `secret/${names.impersonationTLSCertificateSecret}`;
const caSecret = `secret/${names.impersonationCACertificateSecret}`;

/** What the controller runs on in one replica, with its ServiceAccount's rights; the server's part is played by the test. */
interface Replica {
  readonly state: WritableConciergeState;
  stop(): Promise<void>;
}

describe("the configuration of the impersonation proxy in a real cluster", () => {
  let cluster: Cluster;
  let folder: string;
  let owner: { readonly uid: string };
  let leader: Replica;
  const replicas: Replica[] = [];

  before(async () => {
    cluster = await startCluster({
      name: `proxy-config-${process.pid}`,
      tier: "control-plane",
      progress: () => {},
    });
    folder = mkdtempSync(join(tmpdir(), "lanyard-proxy-config-"));
    await kubectl(cluster, ["create", "namespace", namespace]);
    const crds = join(chartFolder("lanyard-concierge"), "crds");
    await kubectl(cluster, ["apply", `--filename=${crds}`]);
    await kubectl(cluster, ["wait", "--for=condition=Established", `--filename=${crds}`, "--timeout=30s"]);
    const wanted = [
      "ServiceAccount",
      "Role",
      "RoleBinding",
      "ClusterRole",
      "ClusterRoleBinding",
      "CredentialIssuer",
    ];
    const manifests = await render("lanyard-concierge", { "kubeCertAgent.enabled": false });
    for (const manifest of manifests.filter(({ kind }) => wanted.includes(kind))) {
      await kubectl(
        cluster,
        ["apply", `--namespace=${manifest.metadata.namespace ?? namespace}`, "--filename=-"],
        JSON.stringify(manifest),
      );
    }
    await kubectl(cluster, [
      "create",
      "deployment",
      app,
      `--namespace=${namespace}`,
      "--image=none",
      "--replicas=0",
    ]);
    const deployment = await get<Secret>(`deployment/${app}`);
    owner = { uid: deployment?.metadata.uid ?? "" };
    await cluster.serviceAccountKubeconfig(namespace, app, join(folder, "kubeconfig"));
    leader = await startReplica(true);
  });

  after(async () => {
    await Promise.all(replicas.map((replica) => replica.stop()));
    await cluster.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function startReplica(leads: boolean): Promise<Replica> {
    const client = createKubernetesClient({
      endpoint: await kubeconfigEndpoint({ path: join(folder, "kubeconfig") }),
      clock: systemClock,
      log: silentLogger,
      userAgent: "lanyard-test",
    });
    const stopping = new AbortController();
    const store = createClusterStore({
      client,
      clock: systemClock,
      log: silentLogger,
      leadership: { mayWrite: () => leads, signal: () => stopping.signal },
      ownerReference: () => ({ apiVersion: "apps/v1", kind: "Deployment", name: app, uid: owner.uid }),
      labels: { app },
    });
    const state = createConciergeState({ authenticators: createAuthenticatorCache() });
    state.proxySettings.subscribe((settings) =>
      state.proxyState.set({ phase: settings === undefined ? "stopped" : "listening" }),
    );
    const controller = createImpersonatorConfigController({
      store,
      client,
      clock: systemClock,
      log: silentLogger,
      state,
      namespace,
      names,
      labels: { app },
      port: 8444,
    });
    store.start();
    await store.waitForSync(stopping.signal, 60_000);
    const running = runControllers({
      controllers: [controller],
      clock: systemClock,
      log: silentLogger,
      signal: stopping.signal,
    });
    const replica = {
      state,
      stop: async () => {
        stopping.abort();
        await running.stop();
        await store.stop();
        await client.close();
      },
    };
    replicas.push(replica);
    return replica;
  }

  async function get<T>(object: string): Promise<T | undefined> {
    const text = await kubectl(cluster, [
      "get",
      object,
      `--namespace=${namespace}`,
      "--ignore-not-found",
      "--output=json",
    ]);
    return text === "" ? undefined : (JSON.parse(text) as T);
  }

  /** Replaces `spec.impersonationProxy`, as an administrator would edit it. */
  async function configure(impersonationProxy: object): Promise<void> {
    const operation = [{ op: "replace", path: "/spec/impersonationProxy", value: impersonationProxy }];
    await kubectl(cluster, [
      "patch",
      "credentialissuer",
      names.credentialIssuer,
      "--type=json",
      `--patch=${JSON.stringify(operation)}`,
    ]);
  }

  async function strategy(): Promise<CredentialIssuerStrategy | undefined> {
    const issuer = await get<CredentialIssuer>(`credentialissuer/${names.credentialIssuer}`);
    return issuer?.status?.strategies.find(({ type }) => type === "ImpersonationProxy");
  }

  async function reported(reason: string, message: RegExp): Promise<CredentialIssuerStrategy> {
    let last: CredentialIssuerStrategy | undefined;
    return await eventually(
      `the strategy ${reason} ${message}`,
      async () => {
        last = await strategy();
        if (last?.reason === reason && message.test(last.message)) {
          return last;
        }
        throw new Error(JSON.stringify(last));
      },
      { seconds: 45 },
    );
  }

  async function listeningAt(endpoint: string): Promise<string> {
    return await eventually(`the strategy Listening at ${endpoint}`, async () => {
      const found = await strategy();
      const info = found?.frontend?.impersonationProxyInfo;
      if (found?.reason === "Listening" && info?.endpoint === endpoint) {
        return info.certificateAuthorityData;
      }
      throw new Error(JSON.stringify(found));
    });
  }

  async function settled<T>(object: string, accept: (found: T) => boolean): Promise<T> {
    let last: T | undefined;
    return await eventually(`${object} as it should be`, async () => {
      last = await get<T>(object);
      if (last !== undefined && accept(last)) {
        return last;
      }
      throw new Error(JSON.stringify(last));
    });
  }

  const gone = (object: string): Promise<boolean> =>
    eventually(`the end of ${object}`, async () => (await get(object)) === undefined);

  const names443 = { mode: "enabled", service: { type: "None" }, externalEndpoint: "proxy.example.com" };

  it("waits in mode auto for a node to judge by, and is off where there are control-plane nodes", async () => {
    await reported("ErrorDuringSetup", /^no nodes found$/);
    const node = (name: string, labels: object): string =>
      JSON.stringify({ apiVersion: "v1", kind: "Node", metadata: { name, labels } });
    await kubectl(
      cluster,
      ["create", "--filename=-"],
      node("first", { "node-role.kubernetes.io/control-plane": "" }),
    );
    await reported("Disabled", /^automatically determined that impersonation proxy should be disabled$/);
    assert.equal(await get(loadBalancer), undefined);
    assert.equal(leader.state.proxySettings.current, undefined);
  });

  it("waits for the signer, then for the load balancer's address, then listens there", async () => {
    await configure({
      mode: "enabled",
      service: { type: "LoadBalancer", annotations: { "example.com/a": "1" } },
    });
    await reported("Pending", /signing secret: secret .* not found$/);
    await kubectl(cluster, [
      "create",
      "secret",
      "generic",
      names.impersonationSignerSecret,
      `--namespace=${namespace}`,
      `--from-file=caCertificate=${cluster.ca.cert}`,
      `--from-file=caCertificatePrivateKey=${cluster.ca.key}`,
    ]);
    leader.state.proxySigningKey.set({
      certificatePem: readFileSync(cluster.ca.cert, "utf8"),
      privateKeyPem: readFileSync(cluster.ca.key, "utf8"),
    });
    await reported("Pending", /^waiting for load balancer Service to be assigned IP or hostname$/);
    const service = await get<Service>(loadBalancer);
    assert.equal(service?.spec?.type, "LoadBalancer");
    assert.deepEqual(service.spec.selector, { app });
    assert.equal(service.metadata.ownerReferences?.[0]?.uid, owner.uid);
    const [port] = service.spec.ports ?? [];
    assert.deepEqual([port?.port, port?.targetPort, port?.protocol], [443, 8444, "TCP"]);
    assert.equal(await get(servingSecret), undefined);

    const status = { status: { loadBalancer: { ingress: [{ ip: "192.0.2.7" }] } } };
    const patch = ["--subresource=status", "--type=merge", `--patch=${JSON.stringify(status)}`];
    await kubectl(cluster, ["patch", loadBalancer, `--namespace=${namespace}`, ...patch]);
    const caData = await listeningAt("https://192.0.2.7");
    const ca = await get<Secret>(caSecret);
    assert.equal(ca?.data?.["ca.crt"], caData);
    const secret = await get<Secret>(servingSecret);
    assert.equal(secret?.type, "kubernetes.io/tls");
    assert.equal(secret.metadata.ownerReferences?.[0]?.uid, owner.uid);
    const leaf = new X509Certificate(Buffer.from(secret.data?.["tls.crt"] ?? "", "base64"));
    assert.equal(leaf.subjectAltName, "IP Address:192.0.2.7");
    assert.equal(
      leaf.toString(),
      new X509Certificate(leader.state.proxyServingCertificate.current?.certificatePem ?? "").toString(),
    );
  });

  it("keeps book of its annotations and leaves those of others", async () => {
    const book = "credentialissuer.pinniped.dev/annotation-keys";
    const annotated = (expected: object): Promise<Service> =>
      settled<Service>(loadBalancer, ({ metadata }) =>
        isDeepStrictEqual(metadata.annotations ?? {}, expected),
      );
    await annotated({ "example.com/a": "1", [book]: '["example.com/a"]' });
    await kubectl(cluster, ["annotate", loadBalancer, `--namespace=${namespace}`, "example.com/theirs=x"]);
    await configure({ mode: "enabled", service: { annotations: { "example.com/b": "2" } } });
    await annotated({ "example.com/b": "2", "example.com/theirs": "x", [book]: '["example.com/b"]' });
    await kubectl(cluster, [
      "annotate",
      "--overwrite",
      loadBalancer,
      `--namespace=${namespace}`,
      "example.com/b=9",
    ]);
    await annotated({ "example.com/b": "2", "example.com/theirs": "x", [book]: '["example.com/b"]' });
    await configure({ mode: "enabled", service: {} });
    await annotated({ "example.com/theirs": "x" });
  });

  it("passes source ranges on, and replaces the Service for another class, which the API server never changes", async () => {
    const first = await get<Service>(loadBalancer);
    const service = { loadBalancerSourceRanges: ["192.0.2.0/24"] };
    await configure({ mode: "enabled", service });
    await settled<Service>(
      loadBalancer,
      ({ spec }) => JSON.stringify(spec?.loadBalancerSourceRanges) === '["192.0.2.0/24"]',
    );
    await listeningAt("https://192.0.2.7");
    await configure({ mode: "enabled", service: { ...service, loadBalancerClass: "example.com/one" } });
    const second = await settled<Service>(
      loadBalancer,
      ({ spec }) => spec?.loadBalancerClass === "example.com/one",
    );
    assert.notEqual(second.metadata.uid, first?.metadata.uid);
    await reported("Pending", /^waiting for load balancer Service/);
    const refused = await cluster.kubectl([
      "patch",
      loadBalancer,
      `--namespace=${namespace}`,
      "--type=merge",
      '--patch={"spec":{"loadBalancerClass":"example.com/two"}}',
    ]);
    assert.match(refused.stderr, /spec\.loadBalancerClass: .*may not change once set/);
    await configure({ mode: "enabled", service: { loadBalancerClass: "example.com/two" } });
    const third = await settled<Service>(
      loadBalancer,
      ({ spec }) => spec?.loadBalancerClass === "example.com/two",
    );
    assert.equal(third.spec?.loadBalancerSourceRanges, undefined);
  });

  it("moves to a ClusterIP Service, with a new certificate of the same CA", async () => {
    const before = await get<Secret>(caSecret);
    await configure({ mode: "enabled", service: { type: "ClusterIP" } });
    const service = await settled<Service>(
      `service/${names.impersonationClusterIPService}`,
      ({ spec }) => spec?.clusterIP !== undefined,
    );
    const address = service.spec?.clusterIP ?? "";
    assert.equal(await listeningAt(`https://${address}`), before?.data?.["ca.crt"]);
    await gone(loadBalancer);
    const secret = await get<Secret>(servingSecret);
    const leaf = new X509Certificate(Buffer.from(secret?.data?.["tls.crt"] ?? "", "base64"));
    assert.equal(leaf.subjectAltName, `IP Address:${address}`);
  });

  it("makes again what somebody spoils or deletes", async () => {
    const before = await get<Secret>(servingSecret);
    await kubectl(cluster, [
      "patch",
      servingSecret,
      `--namespace=${namespace}`,
      "--type=merge",
      '--patch={"data":{"tls.crt":"eA=="}}',
    ]);
    const after = await settled<Secret>(
      servingSecret,
      ({ metadata }) => metadata.uid !== before?.metadata.uid,
    );
    const leaf = Buffer.from(after.data?.["tls.crt"] ?? "", "base64").toString("utf8");
    await eventually(
      "the new certificate is loaded",
      async () => leader.state.proxyServingCertificate.current?.certificatePem === leaf,
    );
    const service = `service/${names.impersonationClusterIPService}`;
    const { metadata } = await settled<Service>(service, () => true);
    await kubectl(cluster, ["delete", service, `--namespace=${namespace}`]);
    const { spec } = await settled<Service>(service, (found) => found.metadata.uid !== metadata.uid);
    await listeningAt(`https://${spec?.clusterIP ?? ""}`);
  });

  it("serves an administrator's certificate, and takes none without a CA to tell clients of", async () => {
    await configure(names443);
    const own = await listeningAt("https://proxy.example.com");
    const validity = { notBefore: new Date(Date.now() - 1000), notAfter: new Date(Date.now() + 3_600_000) };
    const authority = await createCertificateAuthority({ commonName: "outside", ...validity });
    const leaf = await issueServingCertificate(authority, {
      dnsNames: ["proxy.example.com"],
      ipAddresses: [],
      ...validity,
    });
    const base64 = (text: string): string => Buffer.from(text).toString("base64");
    const secret = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "outside", namespace },
      type: "kubernetes.io/tls",
      data: { "tls.crt": base64(leaf.certificatePem), "tls.key": base64(leaf.privateKeyPem) },
    };
    await configure({ ...names443, tls: { secretName: "outside" } });
    await reported("ErrorDuringSetup", /secret "outside" not found$/);
    await kubectl(cluster, ["apply", "--filename=-"], JSON.stringify(secret));
    await reported("ErrorDuringSetup", /set spec\.impersonationProxy\.tls\.certificateAuthorityData/);
    const withCa = { ...secret, data: { ...secret.data, "ca.crt": base64(authority.certificatePem) } };
    await kubectl(cluster, ["apply", "--filename=-"], JSON.stringify(withCa));
    assert.equal(await listeningAt("https://proxy.example.com"), base64(authority.certificatePem));
    assert.deepEqual(leader.state.proxyServingCertificate.current, leaf);
    await gone(servingSecret);
    await configure(names443);
    await settled<Secret>(servingSecret, () => true);
    await eventually(
      "the own CA again",
      async () => (await listeningAt("https://proxy.example.com")) === own,
    );
  });

  it("reports a server that died and starts it again", async () => {
    leader.state.proxyState.set({ phase: "failed", message: "unexpected shutdown of proxy server" });
    await reported("ErrorDuringSetup", /^unexpected shutdown of proxy server$/);
    await listeningAt("https://proxy.example.com");
  });

  it("a replica that does not lead loads what the leader made", async () => {
    const follower = await startReplica(false);
    await eventually(
      "the follower's certificate",
      async () => follower.state.proxyServingCertificate.current !== undefined,
    );
    assert.deepEqual(
      follower.state.proxyServingCertificate.current,
      leader.state.proxyServingCertificate.current,
    );
    assert.deepEqual(follower.state.proxySettings.current, { port: 8444 });
  });

  it("disabled, it leaves only the CA, which is there again when it is enabled", async () => {
    const before = await listeningAt("https://proxy.example.com");
    await configure({ mode: "disabled" });
    await reported("Disabled", /^impersonation proxy was explicitly disabled by configuration$/);
    await gone(servingSecret);
    await gone(`service/${names.impersonationClusterIPService}`);
    for (const { state } of replicas) {
      await eventually(
        "the end of the server",
        async () =>
          state.proxySettings.current === undefined && state.proxyServingCertificate.current === undefined,
      );
    }
    assert.notEqual(await get(caSecret), undefined);
    await configure(names443);
    assert.equal(await listeningAt("https://proxy.example.com"), before);
  });
});
