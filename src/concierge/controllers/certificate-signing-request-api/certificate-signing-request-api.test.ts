import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../../clock.ts";
import type { ManualClock } from "../../../clock.ts";
import type { Controller } from "../../../kube/controller.ts";
import { configMaps } from "../../../kube/objects.ts";
import { credentialIssuers } from "../../../resources/credential-issuer.ts";
import type { CredentialIssuer } from "../../../resources/credential-issuer.ts";
import type { CredentialIssuerStrategy } from "../../../resources/credential-issuer-status.ts";
import { silentLogger } from "../../../telemetry/log.ts";
import { REQUEST_LABEL } from "../../credentials/cluster-signing.ts";
import { letTimePass } from "../../credentials/testing/let-time-pass.ts";
import { createSigningCluster } from "../../credentials/testing/signing-cluster.ts";
import type { SigningCluster } from "../../credentials/testing/signing-cluster.ts";
import { createConciergeState } from "../../state/state.ts";
import type { WritableConciergeState } from "../../state/state.ts";
import { createMemoryCluster } from "../../testing/memory-store.ts";
import type { MemoryClient } from "../../testing/memory-store.ts";
import { createCertificateSigningRequestApi } from "./certificate-signing-request-api.ts";

const name = "lanyard-concierge-config";
const clusterInfo = JSON.stringify({
  clusters: [{ cluster: { server: "https://kas.example", "certificate-authority-data": "Y2E=" } }],
});

interface World {
  readonly clock: ManualClock;
  readonly cluster: SigningCluster;
  readonly admin: MemoryClient;
  readonly state: WritableConciergeState;
  readonly cleanUp: Controller;
  leads: boolean;
  /** Status writes so far. */
  writes(): number;
  reconcile(): Promise<void>;
  strategies(): Promise<readonly CredentialIssuerStrategy[]>;
  /** Replaces the spec, with a new generation as the kube-apiserver does. */
  change(spec: Partial<CredentialIssuer["spec"]>): Promise<void>;
}

async function createWorld(spec: Partial<CredentialIssuer["spec"]>): Promise<World> {
  const clock = createManualClock();
  const memory = createMemoryCluster(clock);
  const admin = memory.client();
  const cluster = await createSigningCluster(clock);
  const state = createConciergeState({ authenticators: { get: () => undefined } });
  let generation = 1;
  await admin.create(credentialIssuers, {
    apiVersion: "config.concierge.pinniped.dev/v1alpha1",
    kind: "CredentialIssuer",
    metadata: { name, generation },
    spec: { impersonationProxy: { mode: "disabled", service: { type: "None" } }, ...spec },
  });
  await admin.create(configMaps, {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { namespace: "kube-public", name: "cluster-info" },
    data: { kubeconfig: clusterInfo },
  });
  const world: World = {
    clock,
    cluster,
    admin,
    state,
    leads: true,
    cleanUp: undefined as unknown as Controller,
    writes: () => memory.writes.filter((write) => write.startsWith("updateStatus")).length,
    reconcile: async () => {
      await letTimePass(clock, Promise.resolve(strategy.reconcile(new AbortController().signal)));
    },
    strategies: async () => (await admin.get(credentialIssuers, { name })).status?.strategies ?? [],
    change: async (changed) => {
      generation++;
      const present = await admin.get(credentialIssuers, { name });
      await admin.update(credentialIssuers, {
        ...present,
        metadata: { ...present.metadata, generation },
        spec: { ...present.spec, ...changed },
      });
    },
  };
  const { controllers } = createCertificateSigningRequestApi({
    client: cluster.client,
    store: memory.client({ mayWrite: () => world.leads }),
    clock,
    log: silentLogger,
    state,
    mayWrite: () => world.leads,
    namespace: "concierge",
    serviceAccountName: "lanyard-concierge",
    credentialIssuerName: name,
    discoveryUrl: undefined,
    labels: {},
  });
  const [strategy = assert.fail(), cleanUp = assert.fail()] = controllers;
  return Object.assign(world, { cleanUp });
}

const on: Partial<CredentialIssuer["spec"]> = {
  certificateSigningRequestAPI: { mode: "Enabled" },
  clientCertificate: { maximumLifetimeSeconds: 900 },
};

test("switched off there is no entry, and no call", async () => {
  const world = await createWorld({ clientCertificate: { maximumLifetimeSeconds: 900 } });
  await world.reconcile();
  assert.deepEqual(await world.strategies(), []);
  assert.deepEqual(world.cluster.calls, []);
  await world.change(on);
  await world.reconcile();
  assert.equal((await world.strategies()).length, 1);
  await world.change({ certificateSigningRequestAPI: { mode: "Disabled" } });
  await world.reconcile();
  assert.deepEqual(await world.strategies(), []);
});

test("switched on and working it is a Success with the cluster's own address, tested every ten minutes", async () => {
  const world = await createWorld(on);
  await world.reconcile();
  const [{ lastUpdateTime: _, ...entry } = assert.fail()] = await world.strategies();
  assert.deepEqual(entry, {
    type: "CertificateSigningRequestAPI",
    status: "Success",
    reason: "IssuedCertificate",
    message: "certificates are signed through the CertificateSigningRequest API",
    frontend: {
      type: "TokenCredentialRequestAPI",
      tokenCredentialRequestInfo: { server: "https://kas.example", certificateAuthorityData: "Y2E=" },
    },
  });
  assert.equal(world.cluster.objects.size, 0, "the self-test leaves nothing behind");
  const tests = (): number => world.cluster.calls.filter((call) => call === "create").length;
  await world.reconcile();
  assert.equal(tests(), 1);
  assert.equal(world.writes(), 1, "no write when nothing changed");
  await world.clock.advance(600_000);
  await world.reconcile();
  assert.equal(tests(), 2);
});

test("whatever stands in the way is said, for somebody who can act on it", async () => {
  const message = async (prepare: (world: World) => void | Promise<void>): Promise<string> => {
    const world = await createWorld(on);
    await prepare(world);
    await world.reconcile();
    const [{ status, reason, message: text, frontend } = assert.fail()] = await world.strategies();
    assert.equal(status, "Error");
    assert.equal(frontend, undefined);
    assert.equal(world.cluster.objects.size, 0);
    return `${reason}: ${text}`;
  };
  assert.equal(
    await message(({ change }) => change({ clientCertificate: { maximumLifetimeSeconds: 599 } })),
    "ErrorDuringSetup: maximumLifetimeSeconds must be at least 600",
  );
  assert.equal(
    await message(({ change }) => change({ clientCertificate: {} })),
    "ErrorDuringSetup: maximumLifetimeSeconds must be at least 600",
    "the default bound is 300",
  );
  assert.equal(
    await message(({ state }) => state.sharedAuthorityFault.set("two CAs are one")),
    "ErrorDuringSetup: two CAs are one",
  );
  assert.equal(
    await message(({ cluster }) => {
      cluster.missing.add("update certificatesigningrequests/approval").add("approve signers");
    }),
    "CouldNotIssueCertificate: the Concierge's ServiceAccount may not: update certificatesigningrequests/approval, approve signers kubernetes.io/kube-apiserver-client; install the chart with certificateSigningRequestAPI.mode Enabled, which adds the ClusterRole",
  );
  assert.equal(
    await message(({ cluster }) => {
      cluster.conditions = [{ type: "Failed", status: "True", reason: "SignerValidationFailure" }];
      cluster.answer = () => undefined;
    }),
    "CouldNotIssueCertificate: the cluster's signer answered Failed: SignerValidationFailure",
  );
  assert.match(
    await message(({ cluster }) => {
      cluster.answer = () => undefined;
    }),
    /^CouldNotIssueCertificate: the cluster did not sign within 10 seconds: the kube-controller-manager may be down/,
  );
  assert.match(
    await message(({ cluster }) => {
      cluster.mutate = (object) => ({ ...object, spec: { ...object.spec, usages: ["server auth"] } });
    }),
    /^CouldNotIssueCertificate: the CertificateSigningRequest is not the one that was sent \(spec\.usages\)/,
  );
  assert.equal(
    await message(({ admin }) =>
      admin.delete(configMaps, { namespace: "kube-public", name: "cluster-info" }),
    ),
    'CouldNotGetClusterInfo: failed to get kube-public/cluster-info configmap: configmap "cluster-info" not found',
  );
});

test("a failing test is repeated ever less often, and at once when the object changes", async () => {
  const world = await createWorld(on);
  world.cluster.missing.add("approve signers");
  await world.reconcile();
  world.cluster.missing.clear();
  await world.reconcile();
  assert.equal((await world.strategies())[0]?.status, "Error", "not yet");
  await world.clock.advance(10_000);
  await world.reconcile();
  assert.equal((await world.strategies())[0]?.status, "Success");
  world.cluster.missing.add("approve signers");
  await world.change({ clientCertificate: { maximumLifetimeSeconds: 901 } });
  await world.reconcile();
  assert.equal((await world.strategies())[0]?.status, "Error");
});

test("only the leader tests and writes", async () => {
  const world = await createWorld(on);
  world.leads = false;
  await world.reconcile();
  assert.deepEqual(world.cluster.calls, []);
  assert.deepEqual(await world.strategies(), []);
});

test("clean-up deletes only what this ServiceAccount left behind, and nothing that may be under way", async () => {
  const world = await createWorld(on);
  const { cluster, clock, cleanUp, state } = world;
  const reconcile = (): Promise<unknown> => Promise.resolve(cleanUp.reconcile(new AbortController().signal));
  const metadata = { labels: { ...REQUEST_LABEL }, creationTimestamp: "2020-01-01T00:00:00Z" };
  cluster.put("ours", { username: cluster.username }, metadata);
  cluster.put("planted", { username: "system:serviceaccount:elsewhere:lanyard-concierge" }, metadata);
  cluster.put("nobody's", {}, metadata);
  const left = (): string => [...cluster.objects.keys()].join();
  await reconcile();
  await clock.advance(30_000);
  await reconcile();
  assert.equal(left(), "ours,planted,nobody's", "switched off it does nothing");
  state.credentialSettings.set({ ...state.credentialSettings.current, certificateSigningRequestApi: true });
  world.leads = false;
  await reconcile();
  await clock.advance(30_000);
  world.leads = true;
  assert.deepEqual(await reconcile(), { requeueAfterMilliseconds: 30_000 });
  await clock.advance(15_000);
  cluster.put("young", { username: cluster.username }, metadata);
  await reconcile();
  await clock.advance(14_000);
  await reconcile();
  assert.equal(left(), "ours,planted,nobody's,young", "it may be under way");
  assert.deepEqual(cluster.calls, []);
  await clock.advance(1_000);
  await reconcile();
  assert.equal(left(), "planted,nobody's,young");
  cluster.put("young", { username: cluster.username }, { ...metadata, uid: "another" });
  await clock.advance(16_000);
  await reconcile();
  assert.equal(left(), "planted,nobody's,young", "another of that name is young itself");
  assert.deepEqual(cluster.calls, ["delete ours"], "and approves nothing");
});
