import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { parse } from "yaml";
import { ensureHelm } from "../../hack/cluster/binaries.ts";
import { startCluster } from "../../hack/cluster/cluster.ts";
import type { Cluster } from "../../hack/cluster/cluster.ts";
import { loadImage } from "../../hack/cluster/images.ts";
import { buildImage } from "../../hack/image/image.ts";
import { kubectl } from "../integration/harness/concierge.ts";
import { containerCgroup } from "./container-cgroup.ts";
import type { ContainerCgroup, ContainerUsage } from "./container-cgroup.ts";

const root = join(import.meta.dirname, "..", "..");
const chart = join(root, "charts", "lanyard-concierge");
const image = { repository: "localhost/lanyard-concierge", tag: "small" };
const namespace = "concierge";
const app = "lanyard-concierge";
const nodeAddress = "10.88.0.1";
const MIB = 1024 * 1024;
const smallest = { cpu: "100m", memory: "128Mi" } as const;
const perSecond = 5;
const loadSeconds = 40;
const idleSeconds = 5;

interface Pod {
  readonly metadata: { readonly uid: string };
  readonly status: {
    readonly conditions: readonly { readonly type: string; readonly lastTransitionTime: string }[];
    readonly containerStatuses: readonly {
      readonly containerID: string;
      readonly restartCount: number;
      readonly state: { readonly running?: { readonly startedAt: string } };
    }[];
  };
}

/** A quantity in one of the two units that these tests and the chart's defaults have. */
const quantity = (text: string): number => {
  const [, number, unit] = /^(\d+)(m|Mi)$/.exec(text) ?? [];
  assert.ok(number !== undefined, text);
  return Number(number) * (unit === "Mi" ? MIB : 1);
};
const mebibytes = (bytes: number): string => `${(bytes / MIB).toFixed(0)} MiB`;

describe(`a Pod with ${smallest.memory} and ${smallest.cpu} CPU`, () => {
  let folder: string;
  let cluster: Cluster | undefined;
  let cgroup: ContainerCgroup | undefined;
  /** Of the container, once a second, while it idled and while it was under load. */
  const idle: ContainerUsage[] = [];
  const loaded: ContainerUsage[] = [];
  const here = (): Cluster => {
    assert.ok(cluster, "the cluster is up");
    return cluster;
  };
  const container = (): ContainerCgroup => {
    assert.ok(cgroup, "the Pod is up");
    return cgroup;
  };
  const pod = async (): Promise<Pod> => {
    const { items } = JSON.parse(
      await kubectl(here(), [
        "get",
        "pods",
        `--namespace=${namespace}`,
        "--selector=deployment.pinniped.dev=concierge",
        "--output=json",
      ]),
    ) as { readonly items: readonly Pod[] };
    assert.equal(items.length, 1);
    return items[0] ?? assert.fail();
  };
  const sampled = async <T>(samples: ContainerUsage[], work: Promise<T>): Promise<T> => {
    const watched = container();
    const sampling = setInterval(() => void samples.push(watched.usage()), 1000);
    try {
      return await work;
    } finally {
      clearInterval(sampling);
    }
  };
  /** In thousandths of a CPU. */
  const meanCpu = (samples: readonly ContainerUsage[]): number => {
    const [first, last] = [samples[0], samples.at(-1)];
    assert.ok(first && last && samples.length > 1);
    return Math.round(((last.cpuSeconds - first.cpuSeconds) / (samples.length - 1)) * 1000);
  };
  const most = (samples: readonly ContainerUsage[], of: "workingSetBytes" | "anonymousBytes"): number =>
    Math.max(...samples.map((sample) => sample[of]));

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "lanyard-small-pod-"));
    const output = join(folder, "image.tar");
    await buildImage({ output, tag: `${image.repository}:${image.tag}` });
    cluster = await startCluster({ name: "small-pod", tier: "node", folder: join(folder, "clusters") });
    await loadImage(cluster, output);
    forgetPages(cluster.folder);
  });
  after(async () => {
    await cluster?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it("starts before its probes lose patience, and the kernel holds it to its limits", async (t) => {
    await kubectl(here(), ["create", "namespace", namespace]);
    const installed = await here().exec([
      await ensureHelm(),
      "install",
      app,
      chart,
      `--namespace=${namespace}`,
      `--set=image.repository=${image.repository},image.tag=${image.tag},replicas=1`,
      `--set-json=resources=${JSON.stringify({ requests: smallest, limits: smallest })}`,
      "--wait",
      "--timeout=85s",
    ]);
    if (installed.code !== 0) {
      const state = await here().kubectl(["describe", "pods", `--namespace=${namespace}`]);
      assert.fail(`${installed.stderr}\n${state.stdout.slice(-4000)}`);
    }
    const { metadata, status } = await pod();
    const [server = assert.fail()] = status.containerStatuses;
    const id = server.containerID.replace("containerd://", "");
    cgroup = containerCgroup(here().folder, metadata.uid, id);
    assert.deepEqual(cgroup.limits(), {
      memoryBytes: quantity(smallest.memory),
      cpuQuotaMilliseconds: quantity(smallest.cpu) / 10,
    });
    const ready = status.conditions.find(({ type }) => type === "Ready")?.lastTransitionTime ?? "";
    const seconds = (Date.parse(ready) - Date.parse(server.state.running?.startedAt ?? "")) / 1000;
    const { peakBytes, memoryBytes, anonymousBytes, cpuSeconds, throttledSeconds } = cgroup.usage();
    t.diagnostic(
      `ready ${seconds} s after its start, which took ${cpuSeconds.toFixed(1)} s of CPU and ${throttledSeconds.toFixed(1)} s of ` +
        `waiting for more; memory at most ${mebibytes(peakBytes)}, now ${mebibytes(anonymousBytes)} and ${mebibytes(memoryBytes - anonymousBytes)} of files`,
    );
    const probes = await kubectl(here(), [
      "get",
      "events",
      `--namespace=${namespace}`,
      "--field-selector=reason=Unhealthy",
      '--output=jsonpath={range .items[*]}{.count} {.message}{"\\n"}{end}',
    ]);
    const failed = [...probes.matchAll(/^(\d+) Liveness/gm)].reduce(
      (sum, [, count]) => sum + Number(count),
      0,
    );
    t.diagnostic(`${failed} liveness probes failed before; the fifth in a row would have been its end`);
    assert.equal(server.restartCount, 0);
  });

  it(`serves ${perSecond} exchanges/s, and is neither killed nor restarted`, async (t) => {
    await sampled(idle, delay(idleSeconds * 1000));
    const result = await sampled(
      loaded,
      here().exec([
        process.execPath,
        join(import.meta.dirname, "steady-exchanges.ts"),
        nodeAddress,
        String(perSecond),
        String(loadSeconds),
      ]),
    );
    assert.equal(result.code, 0, result.stderr);
    const answers = JSON.parse(result.stdout.trim().split("\n").at(-1) ?? "") as {
      readonly sent: number;
      readonly failures: readonly unknown[];
      readonly median: number;
      readonly p99: number;
      readonly slowest: number;
    };
    // The issuer starts before the load does, and that costs the Pod nothing.
    loaded.splice(0, Math.max(0, loaded.length - (loadSeconds - 1)));
    const usage = container().usage();
    t.diagnostic(
      `${answers.sent} exchanges, median ${answers.median} ms, 99 % within ${answers.p99} ms, slowest ${answers.slowest} ms`,
    );
    for (const [what, samples] of Object.entries({ idle, [`${perSecond} exchanges/s`]: loaded })) {
      t.diagnostic(
        `${what}: ${meanCpu(samples)}m CPU, working set ${mebibytes(most(samples, "workingSetBytes"))}, ` +
          `of which ${mebibytes(most(samples, "anonymousBytes"))} anonymous`,
      );
    }
    t.diagnostic(
      `at most ${mebibytes(usage.peakBytes)} with page cache; the limit was reached ${usage.limitHits} times`,
    );
    assert.deepEqual(answers.failures, []);
    assert.ok(answers.sent >= perSecond * loadSeconds - 1, `${answers.sent} were sent`);
    // A client gives up after 30 s; measured are 0.3 s.
    assert.ok(answers.slowest < 3000, `the slowest took ${answers.slowest} ms`);
    assert.equal(usage.kills, 0);
    assert.equal((await pod()).status.containerStatuses[0]?.restartCount, 0);
  });

  it("needs what the chart's defaults request, and their memory limit is above it", () => {
    const { resources } = parse(readFileSync(join(chart, "values.yaml"), "utf8")) as {
      readonly resources: {
        readonly requests: { readonly cpu: string; readonly memory: string };
        readonly limits: { readonly cpu?: string; readonly memory: string };
      };
    };
    const need = most([...idle, ...loaded], "workingSetBytes");
    assert.ok(need <= quantity(resources.requests.memory), `${mebibytes(need)} are more than the request`);
    assert.ok(meanCpu(loaded) <= quantity(resources.requests.cpu), `${meanCpu(loaded)}m are more`);
    assert.ok(2 * most(loaded, "anonymousBytes") <= quantity(resources.limits.memory), "room for bursts");
    assert.equal(resources.limits.cpu, undefined);
  });
});

/**
 * Drops the image's program from the page cache, so that the Pod is charged for every page that it reads, as on a node that has
 * just started. Loading the image would otherwise have paid for them.
 */
function forgetPages(clusterFolder: string): void {
  const snapshots = join(clusterFolder, "containerd", "io.containerd.snapshotter.v1.overlayfs", "snapshots");
  const programs = readdirSync(snapshots)
    .map((name) => join(snapshots, name, "fs", "usr", "local", "bin", "node"))
    .filter((path) => existsSync(path));
  assert.ok(programs.length > 0, `no program below ${snapshots}`);
  for (const path of programs) {
    for (const command of [
      ["sync", "--data", path],
      ["dd", `if=${path}`, "iflag=nocache", "count=0", "status=none"],
    ]) {
      const [program = "", ...args] = command;
      const { status, stderr } = spawnSync(program, args, { encoding: "utf8" });
      assert.equal(status, 0, stderr);
    }
  }
}
