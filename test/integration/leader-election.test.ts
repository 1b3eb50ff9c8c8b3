import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { createKubernetesClient } from "../../src/kube/client.ts";
import { kubeconfigEndpoint } from "../../src/kube/configuration.ts";
import type { KubernetesClient } from "../../src/kube/kubernetes-client.ts";
import type { Lease } from "../../src/kube/leader-election-lease.ts";
import { createLeaderElection, type LeaderElection } from "../../src/kube/leader-election.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { type Cluster, startCluster } from "../../hack/cluster/cluster.ts";
import { eventually } from "./harness/eventually.ts";

const durations = { lease: 5000, renewDeadline: 3000, retryPeriod: 1000 };

interface Elector {
  readonly election: LeaderElection;
  readonly running: Promise<void>;
  /** Its packets no longer arrive; what it asks hangs. */
  partitioned: boolean;
}

describe("leader election with a real kube-apiserver", () => {
  let cluster: Cluster;
  let client: KubernetesClient;
  const electors: Elector[] = [];
  let twoLeaders = 0;
  let watching: NodeJS.Timeout;

  before(async () => {
    cluster = await startCluster({
      name: `election-${process.pid}`,
      tier: "control-plane",
      progress: () => {},
    });
    client = createKubernetesClient({
      endpoint: await kubeconfigEndpoint({ path: cluster.superAdminKubeconfig }),
      clock: systemClock,
      log: silentLogger,
      userAgent: "lanyard-test",
    });
    watching = setInterval(() => {
      if (electors.filter(({ election }) => election.isLeader()).length > 1) {
        twoLeaders++;
      }
    }, 5);
  });

  after(async () => {
    clearInterval(watching);
    await Promise.all(
      electors.map((elector) => {
        elector.partitioned = false;
        return elector.election.release();
      }),
    );
    await client.close();
    await cluster.stop();
  });

  function start(identity: string): Elector {
    const elector: Elector & { running: Promise<void> } = {
      partitioned: false,
      running: Promise.resolve(),
      election: createLeaderElection({
        client: {
          ...client,
          raw: (request) => (elector.partitioned ? new Promise(() => {}) : client.raw(request)),
        },
        lease: { namespace: "default", name: "lanyard" },
        identity,
        durations,
        clock: systemClock,
        log: silentLogger,
        labels: { app: "lanyard" },
      }),
    };
    elector.running = elector.election.run(new AbortController().signal);
    electors.push(elector);
    return elector;
  }

  async function readLease(): Promise<Lease> {
    const result = await cluster.kubectl(["get", "lease", "lanyard", "-n", "default", "-o", "json"]);
    assert.equal(result.code, 0, result.stderr);
    return JSON.parse(result.stdout) as Lease;
  }

  it(
    "creates, renews, hands over on release, and takes over from a partitioned holder",
    { timeout: 80_000 },
    async () => {
      const one = start("pod-a");
      await eventually("pod-a leads", async () => one.election.isLeader());
      const first = await readLease();
      assert.equal(first.spec?.holderIdentity, "pod-a");
      assert.equal(first.spec.leaseDurationSeconds, 5);
      assert.equal(first.spec.leaseTransitions, 0);
      assert.deepEqual(first.metadata.labels, { app: "lanyard" });
      const two = start("pod-b");
      await eventually(
        "pod-a renews",
        async () => (await readLease()).spec?.renewTime !== first.spec?.renewTime,
      );
      assert.equal((await readLease()).spec?.acquireTime, first.spec.acquireTime);
      assert.equal(two.election.isLeader(), false);

      // Somebody else touches the Lease: the holder's next renewal is a conflict, and no reason to stop.
      const term = one.election.signal();
      const labelled = await cluster.kubectl(["label", "lease", "lanyard", "-n", "default", "touched=yes"]);
      assert.equal(labelled.code, 0, labelled.stderr);
      const touched = (await readLease()).spec?.renewTime;
      await eventually("pod-a renews again", async () => (await readLease()).spec?.renewTime !== touched);
      assert.equal(term.aborted, false);

      const partition = performance.now();
      one.partitioned = true;
      await eventually("pod-b takes over", async () => two.election.isLeader(), { intervalMilliseconds: 20 });
      const takeover = performance.now() - partition;
      assert.equal(term.aborted, true);
      assert.ok(takeover > 3000, `not before the lease is over (${takeover} ms)`);
      assert.equal((await readLease()).spec?.leaseTransitions, 1);

      one.partitioned = false;
      await two.election.release();
      await two.running;
      await eventually("pod-a leads again", async () => one.election.isLeader());
      assert.equal(one.election.signal().aborted, false);
      await one.election.release();
      const released = await readLease();
      assert.equal(released.spec?.holderIdentity, "");
      assert.equal(released.spec?.leaseDurationSeconds, 1);
      assert.equal(twoLeaders, 0);
    },
  );
});
