import assert from "node:assert/strict";
import { before, describe, it } from "node:test";

import { createManualClock } from "../../../clock.ts";
import { LanyardError } from "../../../errors.ts";
import type { ExecRequest } from "../../../kube/exec.ts";
import { configMaps, secrets } from "../../../kube/objects.ts";
import type { KubernetesObject, ResourceType } from "../../../kube/objects.ts";
import { deployments, pods } from "../../../kube/resources.ts";
import type { Pod } from "../../../kube/resources.ts";
import { createCertificateAuthority } from "../../../pki/certificate-authority.ts";
import type { KeyPairPem } from "../../../pki/key-pair.ts";
import { credentialIssuers } from "../../../resources/credential-issuer.ts";
import { silentLogger } from "../../../telemetry/log.ts";
import { createHolder } from "../../state/holder.ts";
import { createKeyPairHolder } from "../../state/key-pair-holder.ts";
import { createMemoryCluster } from "../../testing/memory-store.ts";
import { createLegacyServiceAccountTokenCleanup } from "../legacy-service-account-token-cleanup.ts";
import { createKubeCertAgentControllers } from "./kube-cert-agent-controllers.ts";
import { createLegacyPodCleaner } from "./legacy-pod-cleaner.ts";

const namespace = "concierge";
const { signal } = new AbortController();
const MINUTE = 60_000;
let first: KeyPairPem;
let second: KeyPairPem;

before(async () => {
  const validity = { notBefore: new Date(Date.UTC(2025, 0)), notAfter: new Date(Date.UTC(2035, 0)) };
  first = await createCertificateAuthority({ commonName: "first", ...validity });
  second = await createCertificateAuthority({ commonName: "second", ...validity });
});

const printed = ({ certificatePem, privateKeyPem }: KeyPairPem): string =>
  `${JSON.stringify({
    "tls.crt": Buffer.from(certificatePem).toString("base64"),
    "tls.key": Buffer.from(privateKeyPem).toString("base64"),
  })}\n`;

function pod(name: string, where: string, labels: Readonly<Record<string, string>>, phase = "Running"): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: where, labels },
    spec: { nodeName: name },
    status: { phase },
  };
}
const manager = (name = "kcm", phase = "Running"): Pod =>
  pod(name, "kube-system", { component: "kube-controller-manager" }, phase);
const agent = (name = "agent", phase = "Running"): Pod =>
  pod(name, namespace, { "kube-cert-agent.pinniped.dev": "v3" }, phase);

const kubeconfig = (server = "https://cluster"): KubernetesObject & { data: Record<string, string> } => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "cluster-info", namespace: "kube-public" },
  data: {
    kubeconfig: JSON.stringify({ clusters: [{ cluster: { server, "certificate-authority-data": "Y2E=" } }] }),
  },
});

interface Setup {
  readonly enabled?: boolean;
  readonly leads?: () => boolean;
  readonly discoveryUrl?: string;
  readonly exec?: (request: ExecRequest) => Promise<Buffer>;
  readonly nodes?: () => Promise<never>;
}

function start(setup: Setup = {}) {
  const clock = createManualClock();
  const cluster = createMemoryCluster(clock);
  const administrator = cluster.client();
  const store = cluster.client({ mayWrite: setup.leads ?? (() => true) });
  const holder = createKeyPairHolder("concierge-kube-signing-cert", "signing");
  const fault = createHolder<string | undefined>(undefined);
  const calls: ExecRequest[] = [];
  const loaded: (Date | undefined)[] = [];
  let output = (): Promise<Buffer> => Promise.resolve(Buffer.from(printed(first)));
  const [controller, cleaner] = createKubeCertAgentControllers({
    store,
    client: {
      list: setup.nodes ?? (() => Promise.reject(new Error("one manager needs no nodes"))),
    },
    exec: (request) => {
      calls.push(request);
      return (setup.exec ?? output)(request);
    },
    clock,
    log: silentLogger,
    metrics: { certificateLoaded: (_, notAfter) => void loaded.push(notAfter) },
    clusterSigningKey: holder,
    sharedAuthorityFault: fault,
    agent: {
      namespace,
      namePrefix: "c-kube-cert-agent-",
      image: "image",
      imagePullSecrets: [],
      priorityClassName: "",
      serviceAccountName: "c-kube-cert-agent",
      labels: { app: "c" },
    },
    enabled: setup.enabled ?? true,
    credentialIssuerName: "c-config",
    discoveryUrl: setup.discoveryUrl,
  });
  assert.ok(controller);
  const put = <T extends KubernetesObject>(resource: ResourceType<T>, object: T) =>
    administrator.create(resource, object);
  return {
    clock,
    cluster,
    administrator,
    holder,
    fault,
    calls,
    loaded,
    controller,
    cleaner,
    put,
    setOutput: (next: () => Promise<Buffer>) => {
      output = next;
    },
    /** A cluster in which everything is as it should be. */
    complete: async () => {
      await put(credentialIssuers, {
        apiVersion: "config.concierge.pinniped.dev/v1alpha1",
        kind: "CredentialIssuer",
        metadata: { name: "c-config" },
        spec: { impersonationProxy: { mode: "disabled", service: { type: "None" } } },
      });
      await put(pods, manager());
      await put(pods, agent());
      await put(configMaps, kubeconfig());
    },
    strategy: async () => {
      const { status } = await administrator.get(credentialIssuers, { name: "c-config" });
      return status?.strategies.find(({ type }) => type === "KubeClusterSigningCertificate");
    },
    /** One reconcile; what it threw. */
    look: async (): Promise<string | undefined> => {
      try {
        await controller.reconcile(signal);
        return undefined;
      } catch (error) {
        assert.ok(error instanceof Error);
        return error.message;
      }
    },
  };
}
type World = ReturnType<typeof start>;

const key = { name: "c-kube-cert-agent", namespace };
const agentKey = { namespace, name: "agent" };
const managerKey = { namespace: "kube-system", name: "kcm" };
const infoKey = { namespace: "kube-public", name: "cluster-info" };
const extract = "could not extract Kubernetes API endpoint info from kube-public/cluster-info configmap: ";
const outputs = (text: () => string) => (world: World) =>
  world.setOutput(() => Promise.resolve(Buffer.from(text())));

interface Row {
  readonly reason: string;
  readonly message: string | RegExp;
  /** Whether the runtime has to try again by itself. */
  readonly retried?: boolean;
  readonly setup?: Setup;
  readonly change?: (world: World) => unknown;
}

/** Contract 5.3, from a cluster in which everything is right. */
const table: Readonly<Record<string, Row>> = {
  "everything right": { reason: "FetchedKey", message: "key was fetched successfully" },
  "no controller manager": {
    reason: "CouldNotFetchKey",
    message:
      "could not find a healthy kube-controller-manager pod (0 candidates): note that this error is the expected behavior for some cluster types, including most cloud provider clusters (e.g. GKE, AKS, EKS)",
    change: ({ administrator }) => administrator.delete(pods, managerKey),
  },
  "a controller manager that does not run": {
    reason: "CouldNotFetchKey",
    message: "could not find a healthy kube-controller-manager pod (1 candidate)",
    change: ({ administrator }) => administrator.update(pods, manager("kcm", "Pending")),
  },
  "two that do not run": {
    reason: "CouldNotFetchKey",
    message: "could not find a healthy kube-controller-manager pod (2 candidates)",
    change: async ({ administrator, put }) => {
      await administrator.update(pods, manager("kcm", "Pending"));
      await put(pods, manager("other", "Failed"));
    },
  },
  "nodes that cannot be listed": {
    reason: "CouldNotFetchKey",
    message: "error while looking for controller manager pod: no nodes today",
    retried: true,
    setup: { nodes: () => Promise.reject(new Error("no nodes today")) },
    change: ({ put }) => put(pods, manager("other")),
  },
  "a Deployment that cannot be written, which wins over a key that loads": {
    reason: "CouldNotFetchKey",
    message: "could not ensure agent deployment: quota",
    retried: true,
    change: ({ cluster }) => {
      cluster.beforeWrite = (write) => {
        if (write.startsWith("create deployments")) throw new Error("quota");
      };
    },
  },
  "no agent": {
    reason: "CouldNotFetchKey",
    message: "could not find a healthy agent pod (0 candidates)",
    change: ({ administrator }) => administrator.delete(pods, agentKey),
  },
  "an agent that does not run": {
    reason: "CouldNotFetchKey",
    message: "could not find a healthy agent pod (1 candidate)",
    change: ({ administrator }) => administrator.update(pods, agent("agent", "Pending")),
  },
  "no cluster-info": {
    reason: "CouldNotGetClusterInfo",
    message: 'failed to get kube-public/cluster-info configmap: configmap "cluster-info" not found',
    change: ({ administrator }) => administrator.delete(configMaps, infoKey),
  },
  "cluster-info without its key": {
    reason: "CouldNotGetClusterInfo",
    message: `${extract}missing "kubeconfig" key`,
    change: ({ administrator }) =>
      administrator.update(configMaps, { ...kubeconfig(), data: { other: "x" } }),
  },
  "cluster-info that is no kubeconfig": {
    reason: "CouldNotGetClusterInfo",
    message: `${extract}key "kubeconfig" does not contain a valid kubeconfig`,
    change: ({ administrator }) =>
      administrator.update(configMaps, { ...kubeconfig(), data: { kubeconfig: "- [" } }),
  },
  "cluster-info without clusters": {
    reason: "CouldNotGetClusterInfo",
    message: `${extract}kubeconfig in key "kubeconfig" does not contain any clusters`,
    change: ({ administrator }) =>
      administrator.update(configMaps, { ...kubeconfig(), data: { kubeconfig: "clusters: []" } }),
  },
  "an exec that fails": {
    reason: "CouldNotFetchKey",
    message: "could not exec into agent pod concierge/agent: command terminated with exit code 1",
    retried: true,
    change: ({ setOutput }) =>
      setOutput(() => Promise.reject(new Error("command terminated with exit code 1"))),
  },
  "output that is no JSON, and is not quoted": {
    reason: "CouldNotFetchKey",
    message:
      "failed to decode signing cert/key JSON from agent pod concierge/agent: 11 characters are not a JSON object",
    retried: true,
    change: outputs(() => "PRIVATE KEY"),
  },
  "a certificate that is no base64": {
    reason: "CouldNotFetchKey",
    message:
      "failed to decode signing cert base64 from agent pod concierge/agent: illegal base64 data at input byte 2",
    retried: true,
    change: outputs(() => '{"tls.crt":"ab*=","tls.key":""}'),
  },
  "a key that is no base64": {
    reason: "CouldNotFetchKey",
    message:
      "failed to decode signing key base64 from agent pod concierge/agent: illegal base64 data at input byte 0",
    retried: true,
    change: outputs(() => '{"tls.crt":"","tls.key":"*"}'),
  },
  "a key of another certificate": {
    reason: "CouldNotFetchKey",
    message:
      "failed to set signing cert/key content from agent pod concierge/agent: concierge-kube-signing-cert: attempt to set invalid key pair: could not load CA: tls: private key does not match public key",
    retried: true,
    change: outputs(() => printed({ ...first, privateKeyPem: second.privateKeyPem })),
  },
  "nothing in the output": {
    reason: "CouldNotFetchKey",
    message: /^failed to set signing cert\/key content .*: failed to find any PEM data in certificate input$/,
    retried: true,
    change: outputs(() => "{}"),
  },
  "a front proxy that shares the cluster's CA (S11)": {
    reason: "CouldNotFetchKey",
    message: "the CAs are mixed up",
    change: ({ fault }) => fault.set("the CAs are mixed up"),
  },
  "a strategy that is switched off": {
    reason: "Disabled",
    message: "cluster signing key strategy is disabled by configuration",
    setup: { enabled: false },
  },
};

describe("the cluster signing key strategy", () => {
  for (const [what, { reason, message, retried = false, setup = {}, change }] of Object.entries(table)) {
    it(`says of ${what}: ${reason}`, async () => {
      const world = start(setup);
      await world.complete();
      await change?.(world);
      const thrown = await world.look();
      const strategy = await world.strategy();
      assert.equal(strategy?.reason, reason);
      assert.equal(strategy.status, reason === "FetchedKey" ? "Success" : "Error");
      if (typeof message === "string") {
        assert.equal(strategy.message, message);
      } else {
        assert.match(strategy.message, message);
      }
      assert.deepEqual(
        strategy.frontend,
        reason === "FetchedKey"
          ? {
              type: "TokenCredentialRequestAPI",
              tokenCredentialRequestInfo: { server: "https://cluster", certificateAuthorityData: "Y2E=" },
            }
          : undefined,
      );
      assert.equal(thrown, retried ? strategy.message : undefined, "what the cluster will tell is no error");
    });
  }

  it("creates the agent, asks it and loads what it prints", async () => {
    const world = start();
    await world.complete();
    assert.equal(await world.look(), undefined);
    assert.equal((await world.administrator.get(deployments, key)).spec?.template?.spec?.nodeName, "kcm");
    assert.deepEqual(
      world.calls.map((request) => ({ ...request, signal: undefined })),
      [
        {
          namespace,
          pod: "agent",
          container: "sleeper",
          command: ["pinniped-concierge-kube-cert-agent", "print"],
          signal: undefined,
        },
      ],
    );
    assert.deepEqual(world.holder.current, first);
    assert.deepEqual(world.loaded, [new Date(Date.UTC(2035, 0))]);
    const writes = world.cluster.writes.length;
    assert.equal(await world.look(), undefined);
    assert.equal(world.cluster.writes.length, writes, "nothing is written twice");
  });

  it("tells the configured URL in place of the published one", async () => {
    const world = start({ discoveryUrl: "https://other" });
    await world.complete();
    await world.look();
    assert.equal((await world.strategy())?.frontend?.tokenCredentialRequestInfo?.server, "https://other");
  });

  it("asks again after 15 minutes, and at once when the agent or the controller manager is another Pod", async () => {
    const world = start();
    await world.complete();
    const { requeueAfterMilliseconds } = (await world.controller.reconcile(signal)) ?? {};
    assert.equal(requeueAfterMilliseconds, 15 * MINUTE);
    world.setOutput(() => Promise.resolve(Buffer.from(printed(second))));
    await world.clock.advance(15 * MINUTE - 1);
    assert.deepEqual(await world.controller.reconcile(signal), { requeueAfterMilliseconds: 1 });
    assert.deepEqual([world.calls.length, world.holder.current], [1, first]);
    await world.clock.advance(1);
    await world.look();
    assert.deepEqual([world.calls.length, world.holder.current], [2, second]);

    for (const [where, object] of [
      [agentKey, agent()],
      [managerKey, manager()],
    ] as const) {
      const asked = world.calls.length;
      await world.administrator.delete(pods, where);
      await world.look();
      await world.put(pods, object);
      await world.look();
      assert.equal(world.calls.length, asked + 1, where.name);
    }
  });

  it("keeps the key that it has, whatever fails later", async () => {
    const world = start();
    await world.complete();
    await world.look();
    world.setOutput(() => Promise.reject(new Error("gone")));
    await world.clock.advance(16 * MINUTE);
    assert.match((await world.look()) ?? "", /gone$/);
    assert.deepEqual(world.holder.current, first);
    await world.administrator.delete(pods, managerKey);
    const result = await world.controller.reconcile(signal);
    assert.deepEqual(result, {}, "nothing is asked for until the cluster changes");
    assert.deepEqual(world.holder.current, first);
  });

  it("drops the key when the front proxy shares its CA, also while the agent is asked (S11)", async () => {
    const world = start();
    await world.complete();
    await world.look();
    let woken = 0;
    const stop = world.controller.watch(() => woken++);
    world.fault.set("mixed up");
    assert.equal(world.holder.current, undefined, "at once, not at the next look");
    assert.deepEqual([woken, world.loaded.at(-1)], [1, undefined]);
    await world.look();
    assert.equal((await world.strategy())?.message, "mixed up");

    world.fault.set(undefined);
    world.setOutput(() => {
      world.fault.set("again");
      return Promise.resolve(Buffer.from(printed(first)));
    });
    await world.look();
    assert.equal(world.holder.current, undefined);
    assert.equal((await world.strategy())?.message, "again");
    stop();
  });

  it("fetches without leading, writes nothing and does not spin", async () => {
    const world = start({ leads: () => false });
    await world.complete();
    const before = world.cluster.writes.length;
    assert.deepEqual(await world.controller.reconcile(signal), { requeueAfterMilliseconds: 15 * MINUTE });
    assert.deepEqual(world.holder.current, first);
    assert.equal(world.cluster.writes.length, before);
  });

  it("says who else changed the status meanwhile by a conflict, which is repeated", async () => {
    const world = start();
    await world.complete();
    world.cluster.beforeWrite = (write) => {
      if (write.startsWith("updateStatus")) {
        throw new LanyardError({ code: "kubernetes.conflict", message: "the object has been modified" });
      }
    };
    assert.equal(
      await world.look(),
      "failed to update CredentialIssuer status: the object has been modified",
    );
  });

  it("replaces an agent whose selector is another, and updates one that differs", async () => {
    const world = start();
    await world.complete();
    await world.look();
    const made = await world.administrator.get(deployments, key);
    await world.administrator.update(deployments, { ...made, spec: { ...made.spec, replicas: 3 } });
    await world.look();
    const updated = await world.administrator.get(deployments, key);
    assert.deepEqual([updated.spec?.replicas, updated.metadata.uid], [1, made.metadata.uid]);
    await world.administrator.update(deployments, {
      ...updated,
      spec: { ...updated.spec, selector: { matchLabels: { app: "c" } } },
    });
    await world.look();
    const replaced = await world.administrator.get(deployments, key);
    assert.notEqual(replaced.metadata.uid, made.metadata.uid);
    assert.deepEqual(replaced.spec, made.spec);
  });

  it("looks at nothing but the CredentialIssuer while it is off (S19)", async () => {
    const world = start({ enabled: false });
    await world.complete();
    await world.look();
    assert.equal(world.cleaner, undefined);
    let woken = 0;
    const stop = world.controller.watch(() => woken++);
    await world.put(pods, manager("another"));
    assert.equal(woken, 0);
    stop();
  });

  it("is woken by all that it depends on", async () => {
    const world = start();
    await world.complete();
    await world.look();
    let woken = 0;
    const stop = world.controller.watch(() => woken++);
    const wakes = async (what: string, change: () => Promise<unknown>): Promise<void> => {
      const before = woken;
      await change();
      assert.ok(woken > before, what);
    };
    await wakes("controller manager", () => world.put(pods, manager("k2")));
    await wakes("agent", () => world.put(pods, agent("a2")));
    await wakes("Deployment", () => world.administrator.delete(deployments, key));
    await wakes("cluster-info", () => world.administrator.delete(configMaps, infoKey));
    await wakes("CredentialIssuer", () =>
      world.administrator.delete(credentialIssuers, { name: "c-config" }),
    );
    stop();
    const before = woken;
    await world.put(pods, manager("k3"));
    assert.equal(woken, before);
  });
});

describe("what old versions left", () => {
  it("agent Pods with all of our labels are deleted", async () => {
    const cluster = createMemoryCluster(createManualClock());
    const administrator = cluster.client();
    const old = { "kube-cert-agent.pinniped.dev": "true" };
    for (const [name, labels] of Object.entries({
      ours: { ...old, app: "c", team: "x" },
      theirs: { ...old, app: "d", team: "x" },
      partly: { ...old, app: "c" },
      new: { "kube-cert-agent.pinniped.dev": "v3", app: "c", team: "x" },
    })) {
      await administrator.create(pods, pod(name, namespace, labels));
    }
    const cleaner = (leads: boolean) =>
      createLegacyPodCleaner({
        store: cluster.client({ mayWrite: () => leads }),
        log: silentLogger,
        namespace,
        labels: { app: "c", team: "x" },
      });
    const names = () =>
      administrator
        .view(pods)
        .list()
        .map(({ metadata }) => metadata.name);
    await cleaner(false).reconcile(signal);
    assert.deepEqual(names(), ["ours", "theirs", "partly", "new"]);
    await cleaner(true).reconcile(signal);
    assert.deepEqual(names(), ["theirs", "partly", "new"]);
  });

  it("the proxy's long-lived token is deleted, a Secret of another type is not", async () => {
    for (const [type, left] of [
      ["kubernetes.io/service-account-token", 0],
      ["Opaque", 1],
    ] as const) {
      const cluster = createMemoryCluster(createManualClock());
      const administrator = cluster.client();
      await administrator.create(secrets, {
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: "c-impersonation-proxy", namespace },
        type,
      });
      const cleanup = createLegacyServiceAccountTokenCleanup({
        store: cluster.client({ mayWrite: () => true }),
        log: silentLogger,
        namespace,
        secretName: "c-impersonation-proxy",
      });
      await cleanup.reconcile(signal);
      assert.equal(administrator.view(secrets).list().length, left, type);
    }
  });
});
