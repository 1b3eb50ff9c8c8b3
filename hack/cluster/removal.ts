import { existsSync, readFileSync, rmSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";

import { podProcesses, removePodCgroup } from "./cgroups.ts";
import { clusterError } from "./errors.ts";
import { holderName } from "./network.ts";
import {
  endProcesses,
  isAlive,
  markedProcesses,
  recordOf,
  recordedProcesses,
  signalProcess,
  waitGone,
} from "./processes.ts";
import { withClusterLock } from "./start.ts";

/**
 * Ends every process of a cluster and removes its cgroups, mounts and folder; false when there is no such folder.
 * Works from whatever state a crash left, and again when it was itself cut off: the folder goes last.
 */
export async function removeCluster(name: string, folder: string): Promise<boolean> {
  if (!existsSync(folder)) return false;
  await withClusterLock(name, folder, async () => {
    await endAllProcesses(folder);
    if (!(await removePodCgroup(folder))) {
      throw clusterError("cgroups", `cgroups of the cluster in ${folder} are still in use`);
    }
    unmountBelow(folder);
    await removeFolder(folder);
  });
  return true;
}

async function endAllProcesses(folder: string): Promise<void> {
  const recorded = recordedProcesses(folder);
  // The first process of the node's pid namespace takes all others with it, and ends when they are gone.
  const holder = recorded.get(holderName);
  await endProcesses(holder ? [holder] : [...recorded.values()], 0);
  const end = performance.now() + 20_000;
  for (;;) {
    // Whatever was never recorded; and a process may have started another between our look and its end.
    const pods = podProcesses(folder).flatMap((pid) => recordOf(pid) ?? []);
    const left = [...recordedProcesses(folder).values(), ...markedProcesses(folder), ...pods].filter(isAlive);
    if (left.length === 0) return;
    if (performance.now() > end) {
      const pids = left.map(({ pid }) => pid).join(", ");
      throw clusterError("processes", `processes of the cluster in ${folder} do not end: ${pids}`);
    }
    for (const record of left) signalProcess(record, "SIGKILL");
    // The kernel may need a moment to end a process that holds mounts and devices.
    await waitGone(left, 1_000);
  }
}

/** The node's mounts are in a namespace of its own; this is for those that somebody else made in its folder. */
function unmountBelow(folder: string): void {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4]?.replaceAll("\\040", " ") ?? "")
    .filter((path) => path.startsWith(`${folder}/`));
  for (const path of mounts.toReversed()) spawnSync("umount", ["--lazy", path]);
}

async function removeFolder(folder: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      rmSync(folder, { recursive: true, force: true });
      return;
    } catch (error) {
      if (tries >= 20) throw error;
      await delay(100);
    }
  }
}
