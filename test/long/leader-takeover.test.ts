import assert from "node:assert/strict";
import { after, before, it } from "node:test";
import { type Cluster, startCluster } from "../../hack/cluster/cluster.ts";
import { defaultDurations } from "../../src/kube/leader-election.ts";
import type { KubernetesClient } from "../../src/kube/kubernetes-client.ts";
import {
  type Installation,
  installConcierge,
  kubectl,
  waitUntilServing,
} from "../integration/harness/concierge.ts";
import { eventually } from "../integration/harness/eventually.ts";
import { findLeader, readLease } from "../integration/harness/lease.ts";
import { administrator } from "../integration/harness/served-certificate.ts";

let cluster: Cluster;
let installation: Installation;
let client: KubernetesClient;

before(async () => {
  cluster = await startCluster({ name: `takeover-${process.pid}`, progress: () => {} });
  installation = await installConcierge(cluster, { replicas: 2 });
  await waitUntilServing(installation);
  client = await administrator(cluster);
});

after(async () => {
  await installation?.close();
  await client?.close();
  await cluster?.stop();
});

it("takes over from a killed leader within 165 s with the durations of the contract", async (t) => {
  const { leader, others } = await findLeader(installation, client, installation.replicas);
  const [follower] = others;
  assert.ok(follower !== undefined);
  const lease = await readLease(installation, client);
  assert.equal(lease.leaseDurationSeconds, 137);
  assert.deepEqual(defaultDurations, { lease: 137_000, renewDeadline: 107_000, retryPeriod: 26_000 });

  // The worst moment: the Lease was renewed just now.
  await eventually(
    "a renewal",
    async () => (await readLease(installation, client)).renewTime !== lease.renewTime,
    { seconds: 40, intervalMilliseconds: 50 },
  );
  leader.process.kill("SIGSTOP");
  await kubectl(
    cluster,
    ["create", "--filename=-"],
    JSON.stringify({
      apiVersion: "authentication.concierge.pinniped.dev/v1alpha1",
      kind: "WebhookAuthenticator",
      metadata: { name: "pending" },
      spec: { endpoint: "https://127.0.0.1:1/none" },
    }),
  );
  const killed = performance.now();
  await leader.end("SIGKILL");

  await eventually(
    "the takeover",
    async () => (await readLease(installation, client)).holderIdentity === follower.podName,
    { seconds: 200, intervalMilliseconds: 250 },
  );
  const takeover = (performance.now() - killed) / 1000;
  await eventually("the pending status", async () => {
    const phase = await kubectl(cluster, [
      "get",
      "webhookauthenticator",
      "pending",
      "--output=jsonpath={.status.phase}",
    ]);
    return phase === "Error";
  });
  const finished = (performance.now() - killed) / 1000;
  t.diagnostic(
    `taken over after ${takeover.toFixed(1)} s, the pending write done after ${finished.toFixed(1)} s`,
  );
  assert.ok(takeover <= 165, `${takeover} s`);
  // Nobody may write before the killed leader's own time is over.
  assert.ok(takeover >= 107, `${takeover} s`);
});
