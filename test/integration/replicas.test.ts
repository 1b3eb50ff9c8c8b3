import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Cluster, startCluster } from "../../hack/cluster/cluster.ts";
import type { KubernetesClient } from "../../src/kube/kubernetes-client.ts";
import {
  type Installation,
  installConcierge,
  kubectl,
  type Replica,
  tail,
  waitUntilServing,
} from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";
import { findLeader, readLease } from "./harness/lease.ts";
import { startLoad } from "./harness/load.ts";
import { administrator } from "./harness/served-certificate.ts";

const leaderElection = { leaseDurationSeconds: 5, renewDeadlineSeconds: 3, retryPeriodSeconds: 1 };
/** Lease and one retry, and then some for a busy machine. */
const takeoverLimitMilliseconds = 15_000;
const whoAmI = "/apis/identity.concierge.pinniped.dev/v1alpha1/whoamirequests";
const whoAmIBody = JSON.stringify({
  kind: "WhoAmIRequest",
  apiVersion: "identity.concierge.pinniped.dev/v1alpha1",
});

describe("two replicas", () => {
  let cluster: Cluster;
  let installation: Installation;
  let client: KubernetesClient;
  /** By index, as `startReplica` counts them. */
  const replicas: Replica[] = [];

  before(async () => {
    cluster = await startCluster({ name: `replicas-${process.pid}`, progress: () => {} });
    installation = await installConcierge(cluster, {
      replicas: 2,
      endpoints: "ready",
      configuration: { leaderElection },
      signWithClusterCa: false,
    });
    await waitUntilServing(installation);
    client = await administrator(cluster);
    replicas.push(...installation.replicas);
  });

  after(async () => {
    await installation?.close();
    await client?.close();
    await cluster?.stop();
  });

  const isReady = (replica: Replica): Promise<boolean> =>
    eventually(`readiness of ${replica.podName}`, async () => (await replica.readyz()).status === 200);

  /** Puts a new process in the place of one that has ended. */
  async function replace(gone: Replica): Promise<Replica> {
    const index = replicas.indexOf(gone);
    const next = await installation.startReplica(index);
    replicas[index] = next;
    await isReady(next);
    return next;
  }

  const signer = (): Promise<string> =>
    kubectl(cluster, [
      "get",
      "secret",
      `--namespace=${installation.namespace}`,
      `${installation.app}-impersonation-proxy-signer-ca-certificate`,
      "--ignore-not-found",
      "--output=jsonpath={.metadata.uid}",
    ]);
  const phase = (name: string): Promise<string> =>
    kubectl(cluster, ["get", "webhookauthenticator", name, "--output=jsonpath={.status.phase}"]);
  const createAuthenticator = (name: string): Promise<string> =>
    kubectl(
      cluster,
      ["create", "--filename=-"],
      JSON.stringify({
        apiVersion: "authentication.concierge.pinniped.dev/v1alpha1",
        kind: "WebhookAuthenticator",
        metadata: { name },
        spec: { endpoint: "https://127.0.0.1:1/none" },
      }),
    );

  it("have one leader, which the Lease names by its Pod", async () => {
    const { leader, others } = await findLeader(installation, client, replicas);
    const pods = await kubectl(cluster, [
      "get",
      "pods",
      `--namespace=${installation.namespace}`,
      "--output=name",
    ]);
    assert.ok(pods.split("\n").includes(`pod/${leader.podName}`), pods);
    const lease = await readLease(installation, client);
    assert.equal(lease.leaseDurationSeconds, leaderElection.leaseDurationSeconds);
    assert.match(leader.log(), /"message":"leadership began"/);
    assert.equal(others.length, 1);
    for (const other of others) {
      assert.doesNotMatch(other.log(), /"message":"leadership began"/);
      // Only a leader's writes go out (contract 6.8).
      assert.doesNotMatch(other.log(), /"message":"(created certificate authority|published the CA bundle)"/);
    }
  });

  it("finish what a killed leader left undone", async (t) => {
    const { leader, others } = await findLeader(installation, client, replicas);
    const [follower] = others;
    assert.ok(follower !== undefined);
    await eventually("the signer's Secret", async () => (await signer()) !== "");
    const transitions = (await readLease(installation, client)).leaseTransitions ?? 0;

    // Stopped, it holds the Lease and can write nothing: whatever changes now is pending when it is killed.
    leader.process.kill("SIGSTOP");
    const oldSigner = await signer();
    await createAuthenticator("pending");
    await kubectl(cluster, [
      "delete",
      "secret",
      `--namespace=${installation.namespace}`,
      `${installation.app}-impersonation-proxy-signer-ca-certificate`,
    ]);
    assert.equal((await readLease(installation, client)).holderIdentity, leader.podName);
    assert.equal(await phase("pending"), "", "it was written before the leader was killed");
    assert.equal(await signer(), "");
    const killed = performance.now();
    await leader.end("SIGKILL");
    assert.equal(leader.process.signalCode, "SIGKILL");

    await eventually(
      "the takeover",
      async () => (await readLease(installation, client)).holderIdentity === follower.podName,
      { seconds: 30 },
    );
    const takeover = Math.round(performance.now() - killed);
    await eventually("the pending status", async () => (await phase("pending")) === "Error", { seconds: 20 });
    await eventually("the pending Secret", async () => (await signer()) !== "", { seconds: 20 });
    const finished = Math.round(performance.now() - killed);
    t.diagnostic(`taken over ${takeover} ms after the kill, all written after ${finished} ms`);
    assert.notEqual(await signer(), oldSigner);
    assert.equal((await readLease(installation, client)).leaseTransitions, transitions + 1);
    assert.ok(takeover <= takeoverLimitMilliseconds, `${takeover} ms`);
    assert.ok(finished <= takeoverLimitMilliseconds + 5_000, `${finished} ms`);
    const { status, text } = await installation.api(whoAmI, { body: whoAmIBody });
    assert.equal(status, 201, text);
    await replace(leader);
  });

  it("hand the Lease over at once when the leader is told to go", async (t) => {
    const { leader, others } = await findLeader(installation, client, replicas);
    const [follower] = others;
    assert.ok(follower !== undefined);
    const told = performance.now();
    const ended = leader.end("SIGTERM");
    await eventually(
      "the release of the Lease",
      async () => (await readLease(installation, client)).holderIdentity !== leader.podName,
      { seconds: 10, intervalMilliseconds: 50 },
    );
    const released = Math.round(performance.now() - told);
    assert.ok(["", follower.podName].includes((await readLease(installation, client)).holderIdentity ?? ""));
    assert.equal(await ended, 0, tail(leader));
    const gone = Math.round(performance.now() - told);
    await eventually(
      "the new leader",
      async () => (await readLease(installation, client)).holderIdentity === follower.podName,
      { seconds: 10 },
    );
    t.diagnostic(`released after ${released} ms, gone after ${gone} ms`);
    // Far below the lease: nobody waited for it to expire.
    assert.ok(released < 3_000, `released after ${released} ms`);
    assert.ok(gone < 20_000, `gone after ${gone} ms`);
    await createAuthenticator("handed-over");
    await eventually("a write of the new leader", async () => (await phase("handed-over")) === "Error", {
      seconds: 20,
    });
    await replace(leader);
  });

  it("fail no request while they are restarted one after the other", async (t) => {
    const load = startLoad({
      perSecond: 20,
      expectedStatus: 201,
      send: (agent) => installation.api(whoAmI, { body: whoAmIBody, agent }),
    });
    t.after(() => load.stop());
    for (const replica of [...replicas]) {
      assert.equal(await replica.end("SIGTERM"), 0, tail(replica));
      await replace(replica);
    }
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    const { sent, failures, slowestMilliseconds } = await load.stop();
    t.diagnostic(`${sent} requests, slowest ${slowestMilliseconds} ms`);
    assert.deepEqual(failures, [], replicas.map(tail).join("\n"));
    assert.ok(sent > 100, `only ${sent} requests`);
  });
});
