import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { podCgroup } from "../../hack/cluster/cgroups.ts";

/** What the kernel lets a container have. */
export interface ContainerLimits {
  readonly memoryBytes: number;
  /** Milliseconds of CPU time in 100 ms, so that 10 are `100m` of Kubernetes' quantities. */
  readonly cpuQuotaMilliseconds: number;
}

/** What a container used, as the kernel counts it for the limits. */
export interface ContainerUsage {
  /** Anonymous memory and page cache charged to the container. */
  readonly memoryBytes: number;
  /** The highest that `memoryBytes` ever was. */
  readonly peakBytes: number;
  /** Nothing can take this away from the process. */
  readonly anonymousBytes: number;
  /** As kubelet and `kubectl top` count it: without the page cache that the kernel gives up first. */
  readonly workingSetBytes: number;
  /** How often the limit was reached, and pages had to go. */
  readonly limitHits: number;
  /** Processes killed for want of memory. */
  readonly kills: number;
  readonly cpuSeconds: number;
  /** How long the CPU limit held it back. */
  readonly throttledSeconds: number;
}

export interface ContainerCgroup {
  limits(): ContainerLimits;
  usage(): ContainerUsage;
}

const mountPoint = "/sys/fs/cgroup";

/** The cgroup of one container of a node cluster; `pod` and `container` are the UID and the ID that the Pod's object tells. */
export function containerCgroup(folder: string, pod: string, container: string): ContainerCgroup {
  const unified = existsSync(join(mountPoint, "cgroup.controllers"));
  const path = (controller: string): string => {
    const root = join(mountPoint, unified ? "" : controller, podCgroup(folder), "kubepods");
    const found = ["", "burstable", "besteffort"]
      .map((quality) => join(root, quality, `pod${pod}`, container))
      .find((each) => existsSync(each));
    if (found === undefined) {
      throw new Error(`no cgroup of container ${container} below ${root}`);
    }
    return found;
  };
  const text = (controller: string, file: string): string =>
    readFileSync(join(path(controller), file), "utf8").trim();
  const number = (controller: string, file: string): number => Number(text(controller, file));
  /** One number of a file with a name and a number in each line. */
  const entry = (controller: string, file: string, name: string): number =>
    Number(new RegExp(`^${name} (\\d+)$`, "m").exec(text(controller, file))?.[1] ?? Number.NaN);
  return unified
    ? {
        limits() {
          const [quota, period] = text("cpu", "cpu.max").split(" ").map(Number);
          return {
            memoryBytes: number("memory", "memory.max"),
            cpuQuotaMilliseconds: ((quota ?? Number.NaN) / (period ?? Number.NaN)) * 100,
          };
        },
        usage: () => ({
          memoryBytes: number("memory", "memory.current"),
          peakBytes: number("memory", "memory.peak"),
          anonymousBytes: entry("memory", "memory.stat", "anon"),
          workingSetBytes:
            number("memory", "memory.current") - entry("memory", "memory.stat", "inactive_file"),
          limitHits: entry("memory", "memory.events", "max"),
          kills: entry("memory", "memory.events", "oom_kill"),
          cpuSeconds: entry("cpu", "cpu.stat", "usage_usec") / 1e6,
          throttledSeconds: entry("cpu", "cpu.stat", "throttled_usec") / 1e6,
        }),
      }
    : {
        limits: () => ({
          memoryBytes: number("memory", "memory.limit_in_bytes"),
          cpuQuotaMilliseconds:
            (number("cpu", "cpu.cfs_quota_us") / number("cpu", "cpu.cfs_period_us")) * 100,
        }),
        usage: () => ({
          memoryBytes: number("memory", "memory.usage_in_bytes"),
          peakBytes: number("memory", "memory.max_usage_in_bytes"),
          anonymousBytes: entry("memory", "memory.stat", "total_rss"),
          workingSetBytes:
            number("memory", "memory.usage_in_bytes") - entry("memory", "memory.stat", "total_inactive_file"),
          limitHits: number("memory", "memory.failcnt"),
          kills: entry("memory", "memory.oom_control", "oom_kill"),
          cpuSeconds: number("cpuacct", "cpuacct.usage") / 1e9,
          throttledSeconds: entry("cpu", "cpu.stat", "throttled_time") / 1e9,
        }),
      };
}
