import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { TestContext } from "node:test";
import { ensureHelm } from "../../../hack/cluster/binaries.ts";
import type { Cluster } from "../../../hack/cluster/cluster.ts";
import { loadImage } from "../../../hack/cluster/images.ts";
import { nodeNetwork } from "../../../hack/cluster/network.ts";
import { buildImage } from "../../../hack/image/image.ts";
import { kubectl } from "../../integration/harness/concierge.ts";
import { eventually } from "../../integration/harness/eventually.ts";
import { startClients } from "../clients.ts";
import type { Clients, LoadReport, LoadReports } from "../clients.ts";
import { killContainer } from "../container-process.ts";
import { installedState } from "../installed-state.ts";
import type { InstalledState } from "../installed-state.ts";
import { app, namespace, proxyImage, startProxyCluster } from "../proxy-cluster.ts";
import type { ProxyCluster } from "../proxy-cluster.ts";

const otherVersion = "99.0.0";
const watchCount = 20;
const root = join(import.meta.dirname, "..", "..", "..");
type Failures = LoadReport["failures"];

interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly deletionTimestamp?: string;
  };
  readonly status: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly containerStatuses?: readonly { readonly restartCount: number }[];
  };
}

describe("an installation in use on a real node", () => {
  let proxy: ProxyCluster | undefined;
  let clients: Clients | undefined;
  let atFirst: InstalledState | undefined;
  const started = (): ProxyCluster => {
    assert.ok(proxy, "the cluster is up");
    return proxy;
  };
  const here = (): Cluster => started().cluster;
  const users = (): Clients => {
    assert.ok(clients, "the clients run");
    return clients;
  };
  const pods = async (): Promise<readonly Pod[]> =>
    (
      JSON.parse(
        await kubectl(here(), [
          "get",
          "pods",
          `--namespace=${namespace}`,
          "--selector=deployment.pinniped.dev=concierge",
          "--output=json",
        ]),
      ) as { readonly items: readonly Pod[] }
    ).items;
  const version = async (pod: string): Promise<string> =>
    kubectl(here(), ["exec", pod, `--namespace=${namespace}`, "--", "lanyard-concierge", "--version"]);
  const restarts = async (): Promise<number> =>
    (await pods())
      .flatMap(({ status }) => status.containerStatuses ?? [])
      .reduce((sum, { restartCount }) => sum + restartCount, 0);
  const asAda = (args: readonly string[]) =>
    here().exec(["kubectl", `--kubeconfig=${started().kubeconfig}`, ...args]);
  /** Two Pods that are ready, and no other. */
  const settled = (): Promise<true> =>
    eventually(
      "two ready Pods and no other",
      async () => {
        const present = await pods();
        return present.length === 2 && present.every((pod) => isReady(pod));
      },
      { seconds: 85, intervalMilliseconds: 250 },
    );
  const watchesOpen = (): Promise<true> =>
    eventually(
      "open watches",
      async () => {
        const watches = await users().watches();
        return watches.length === watchCount && watches.every(({ open }) => open);
      },
      { seconds: 60, intervalMilliseconds: 250 },
    );
  let beat = 0;
  /** Every watch gets the event of a write. */
  const watchesAnswer = async (): Promise<void> => {
    beat += 1;
    const patch = JSON.stringify({ data: { beat: String(beat) } });
    await kubectl(here(), ["patch", "configmap", "steady", "--namespace=work", `--patch=${patch}`]);
    await eventually("the event at every watch", async () =>
      (await users().watches()).every((watch) => watch.open && watch.beat === String(beat)),
    );
  };
  const nothingIsLost = async (): Promise<void> => {
    assert.deepEqual(await installedState(here()), atFirst);
    await watchesAnswer();
    assert.match((await asAda(["auth", "whoami"])).stdout, /Username\s+ada/);
  };

  /** What the clients met while `happen` was done, and a little longer. */
  const during = async (perSecond: number, happen: () => Promise<void>): Promise<LoadReports> => {
    await users().start({ exchangesPerSecond: perSecond, readsPerSecond: perSecond });
    let reports: LoadReports | undefined;
    try {
      await happen();
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    } finally {
      reports = await users().finish();
    }
    return reports;
  };
  /** 100 a second of each kind, or what a machine that is busy otherwise answers at once. */
  const affordableRate = async (): Promise<number> => {
    for (const perSecond of [100, 50, 25]) {
      const { exchanges, reads } = await during(
        perSecond,
        () => new Promise((done) => setTimeout(done, 3_000)),
      );
      const slowest = Math.max(exchanges.slowestMilliseconds, reads.slowestMilliseconds);
      if (slowest < 400 && exchanges.failures.length + reads.failures.length === 0) {
        return perSecond;
      }
    }
    return 10;
  };

  before(async () => {
    proxy = await startProxyCluster("upgrade", [
      "logLevel=info",
      "clientCertificate.lifetimeSeconds=3600",
      "clientCertificate.boundToToken=false",
    ]);
    const { cluster, folder, endpoint, caData } = proxy;
    const output = join(folder, "next.tar");
    await buildImage({
      output,
      tag: `${proxyImage.repository}:${otherVersion}`,
      version: otherVersion,
    });
    await loadImage(cluster, output);
    await kubectl(cluster, ["create", "configmap", "steady", "--namespace=work", "--from-literal=beat=0"]);
    const steady = "/api/v1/namespaces/work/configmaps";
    clients = await startClients(cluster, {
      issuerAddress: nodeNetwork.nodeAddress,
      proxyServer: endpoint,
      proxyCaData: caData,
      readPath: `${steady}/steady`,
      watchPath: `${steady}?watch=true&fieldSelector=metadata.name%3Dsteady`,
    });
  });
  after(async () => {
    await clients?.stop();
    await proxy?.stop();
  });

  it("is ready after the installation: exchanges, the proxy, watches and kubectl work", async () => {
    await settled();
    await eventually("the cluster's key", async () =>
      (await installedState(here())).strategies.every(
        (strategy) => (strategy as { readonly status: string }).status === "Success",
      ),
    );
    await users().watch(watchCount);
    await watchesOpen();
    await watchesAnswer();
    const reports = await during(5, async () => {
      assert.equal((await asAda(["get", "pods", "--output=name"])).code, 0);
      assert.match((await asAda(["auth", "whoami"])).stdout, /Username\s+ada/);
    });
    assertNoFailure(reports);
    atFirst = await installedState(here());
  });

  describe("replaced by another version under 100 exchanges and 100 reads a second, with 20 watches", () => {
    /** Replaces every Pod while the load runs: nobody but the watches may notice, and those are ended as HTTP ends bodies. */
    const replaceUnderLoad = async (
      t: TestContext,
      helm: readonly string[],
      expected: string,
    ): Promise<void> => {
      const old = new Set((await pods()).map(({ metadata }) => metadata.uid));
      const endingsBefore = (await users().watches()).map(({ endings }) => endings.length);
      const perSecond = await affordableRate();
      let seconds = 0;
      const reports = await during(perSecond, async () => {
        const begin = Date.now();
        const rolled = await here().exec([
          await ensureHelm(),
          ...helm,
          `--namespace=${namespace}`,
          "--wait",
          "--timeout=85s",
        ]);
        assert.equal(rolled.code, 0, rolled.stderr);
        await settled();
        await watchesOpen();
        seconds = (Date.now() - begin) / 1000;
      });
      const watches = await users().watches();
      const endings = watches.flatMap((watch, index) => watch.endings.slice(endingsBefore[index]));
      t.diagnostic(`rolled in ${seconds.toFixed(1)} s; ${figures(reports)}; ${endings.length} watches ended`);
      assertNoFailure(reports);
      const now = await pods();
      for (const { metadata } of now) {
        assert.ok(!old.has(metadata.uid), "a new Pod");
        assert.match(await version(metadata.name), new RegExp(`^lanyard-concierge ${expected} `));
      }
      assert.equal(await restarts(), 0);
      // Each was on a Pod that is gone now.
      assert.ok(endings.length >= watchCount, `${endings.length} endings`);
      assert.deepEqual(
        endings.filter(({ how }) => how !== "clean"),
        [],
      );
      assert.deepEqual(
        watches.flatMap(({ refusals }) => refusals),
        [],
      );
      await nothingIsLost();
    };

    it("helm upgrade to another image: no request fails, watches are closed cleanly and opened again", async (t) => {
      await replaceUnderLoad(
        t,
        [
          "upgrade",
          app,
          join(root, "charts", "lanyard-concierge"),
          "--reuse-values",
          `--set=image.tag=${otherVersion}`,
        ],
        otherVersion.replaceAll(".", "\\."),
      );
    });

    it("helm rollback, the way back: the same", async (t) => {
      await replaceUnderLoad(t, ["rollback", app], "0\\.1\\.0");
    });
  });

  describe("hit by failures, under 20 exchanges and 20 reads a second", () => {
    const meanwhile = async (happen: () => Promise<void>): Promise<LoadReports> => {
      const reports = await during(20, async () => {
        await happen();
        await settled();
        await watchesOpen();
      });
      // The token is good all the time.
      assert.doesNotMatch(describeFailures(reports.exchanges.failures), /authentication failed/);
      return reports;
    };
    const leader = (): Promise<string> =>
      kubectl(here(), [
        "get",
        "lease",
        app,
        `--namespace=${namespace}`,
        "--output=jsonpath={.spec.holderIdentity}",
      ]);
    const renewTime = async (): Promise<number> =>
      Date.parse(
        await kubectl(here(), [
          "get",
          "lease",
          app,
          `--namespace=${namespace}`,
          "--output=jsonpath={.spec.renewTime}",
        ]),
      );

    it("the leader is killed: requests fail only until the Pod is known to be gone", async (t) => {
      let killed = 0;
      let readyAfter = 0;
      const before = await restarts();
      // For a moment after the roll nobody may lead.
      const victim = await eventually("a leader", async () => (await leader()) || undefined, { seconds: 85 });
      const reports = await meanwhile(async () => {
        await killContainer(here(), namespace, victim);
        killed = Date.now();
        await eventually("the restart", async () => (await restarts()) === before + 1);
        await settled();
        readyAfter = Date.now() - killed;
      });
      await eventually("a leader", async () => (await renewTime()) > killed + readyAfter, { seconds: 85 });
      const ledAfter = Date.now() - killed;
      const failures = allFailures(reports);
      t.diagnostic(
        `ready again after ${readyAfter} ms, led again after ${ledAfter} ms, last failure after ${lastAfter(failures, killed)} ms; ${figures(reports)}`,
      );
      assert.ok(lastAfter(failures, killed) <= 15_000, describeFailures(failures));
      await nothingIsLost();
    });

    it("a Pod is evicted: no request fails, and the budget keeps the other", async (t) => {
      const [first, second] = (await pods()).map(({ metadata }) => metadata.name);
      assert.ok(first !== undefined && second !== undefined);
      let settledAfter = 0;
      const reports = await meanwhile(async () => {
        const begin = Date.now();
        assert.equal((await evict(first)).code, 0);
        const refused = await evict(second);
        assert.match(refused.stderr, /disruption budget/);
        await eventually("the Pod's end", async () =>
          (await pods()).every(({ metadata }) => metadata.name !== first),
        );
        await settled();
        settledAfter = Date.now() - begin;
      });
      t.diagnostic(`replaced after ${settledAfter} ms; ${figures(reports)}`);
      assertNoFailure(reports);
      await nothingIsLost();
    });

    it("the kube-apiserver is restarted: requests work again as soon as it does", async (t) => {
      let stopped = 0;
      let back = 0;
      const before = await restarts();
      const reports = await meanwhile(async () => {
        stopped = Date.now();
        await here().stopApiServer();
        await here().startApiServer();
        back = Date.now();
      });
      const failures = allFailures(reports);
      t.diagnostic(
        `gone for ${back - stopped} ms, last failure ${lastAfter(failures, back)} ms after its return; ${figures(reports)}`,
      );
      assert.ok(lastAfter(failures, back) <= 15_000, describeFailures(failures));
      // The proxy is there all the time, and says what is the matter (contract 7.7).
      assert.equal(describeFailures(reports.reads.failures.filter(({ reason }) => !saysSo(reason))), "");
      assert.equal(await restarts(), before);
      await nothingIsLost();
    });

    it("etcd is stopped for 20 s: requests work again as soon as it does", async (t) => {
      let stopped = 0;
      let back = 0;
      const before = await restarts();
      const reports = await meanwhile(async () => {
        stopped = Date.now();
        here().pauseEtcd();
        await new Promise((resolve) => setTimeout(resolve, 20_000));
        here().resumeEtcd();
        back = Date.now();
      });
      const failures = allFailures(reports);
      t.diagnostic(
        `gone for ${back - stopped} ms, last failure ${lastAfter(failures, back)} ms after its return; ${figures(reports)}`,
      );
      assert.ok(lastAfter(failures, back) <= 15_000, describeFailures(failures));
      assert.equal(await restarts(), before);
      await nothingIsLost();
    });

    const evict = (pod: string) =>
      here().kubectl(
        ["create", `--raw=/api/v1/namespaces/${namespace}/pods/${pod}/eviction`, "--filename=-"],
        {
          input: JSON.stringify({
            apiVersion: "policy/v1",
            kind: "Eviction",
            metadata: { name: pod, namespace },
          }),
        },
      );
  });
});

function isReady({ metadata, status }: Pod): boolean {
  return (
    metadata.deletionTimestamp === undefined &&
    status.conditions?.some((condition) => condition.type === "Ready" && condition.status === "True") === true
  );
}

/** One line for a person. */
function figures({ exchanges, reads, refused, shed, stale }: LoadReports): string {
  const of = (kind: string, { perSecond, sent, failures, slowestMilliseconds }: LoadReport): string =>
    `${kind} ${perSecond}/s, ${sent} in all, ${failures.length} failed, slowest ${slowestMilliseconds} ms`;
  return `${of("exchanges", exchanges)}; ${of("reads", reads)}; refused streams ${refused}, shed ${shed}, stale ${stale}`;
}

function allFailures({ exchanges, reads }: LoadReports): Failures {
  return [...exchanges.failures, ...reads.failures];
}

/** Milliseconds from `since` to the start of the last request that failed; 0 when there is none after it. */
function lastAfter(failures: Failures, since: number): number {
  return Math.max(0, ...failures.map(({ at }) => at - since));
}

/** Failures by what was said, most frequent first. */
function describeFailures(failures: Failures): string {
  const counts = Map.groupBy(failures, ({ reason }) => reason.replaceAll(/\d{4,}/g, "N"));
  return [...counts]
    .map(([reason, same]) => `${same.length} times ${reason}`)
    .toSorted()
    .join("\n");
}

/** A 502 without a body, or a 500 that names the API server. */
function saysSo(reason: string): boolean {
  return reason === "502 " || /^500 .*the Kubernetes API server cannot be reached/.test(reason);
}

function assertNoFailure(reports: LoadReports): void {
  assert.equal(describeFailures(allFailures(reports)), "");
}
