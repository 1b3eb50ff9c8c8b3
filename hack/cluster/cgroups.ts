import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { folderId } from "./layout.ts";

const mountPoint = "/sys/fs/cgroup";

/** The cgroup below which the kubelet puts all Pods of this cluster, as an absolute cgroup path. */
export function podCgroup(folder: string): string {
  return `/lanyard-${folderId(folder)}`;
}

/** The roots of all hierarchies: several for cgroup v1, one for v2. */
function hierarchies(): string[] {
  if (existsSync(join(mountPoint, "cgroup.controllers"))) return [mountPoint];
  return readdirSync(mountPoint, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(mountPoint, entry.name));
}

/**
 * Sixteen times the default weight, for cgroup v1 and v2: all Pods together count as one against every other thread of the
 * machine, so that without it a busy machine leaves the Pods nothing, which on a node of its own does not happen.
 */
const weights = { "cpu.shares": "16384", "cpu.weight": "1600" };

/** Makes the cgroup in every hierarchy; the kubelet insists that its root is there. */
export function createPodCgroup(folder: string): void {
  for (const hierarchy of hierarchies()) {
    const group = join(hierarchy, podCgroup(folder));
    mkdirSync(group, { recursive: true });
    for (const [file, weight] of Object.entries(weights)) {
      if (existsSync(join(group, file))) writeFileSync(join(group, file), weight);
    }
  }
}

function withDescendants(path: string): string[] {
  if (!existsSync(path)) return [];
  const children = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [...children.flatMap((child) => withDescendants(join(path, child.name))), path];
}

/** The pids of all processes of this cluster's Pods. */
export function podProcesses(folder: string): number[] {
  const pids = new Set<number>();
  for (const hierarchy of hierarchies()) {
    for (const group of withDescendants(join(hierarchy, podCgroup(folder)))) {
      for (const line of readText(join(group, "cgroup.procs")).split("\n")) {
        if (line !== "" && line !== "0") pids.add(Number(line));
      }
    }
  }
  return [...pids];
}

/** Removes the cgroup and all below it; false when some of it is still in use after 15 seconds. */
export async function removePodCgroup(folder: string): Promise<boolean> {
  for (let tries = 0; tries < 150; tries++) {
    const left = hierarchies().flatMap((hierarchy) => withDescendants(join(hierarchy, podCgroup(folder))));
    if (left.length === 0) return true;
    for (const group of left) {
      try {
        rmdirSync(group);
      } catch {
        // Busy while its last process is being buried.
      }
    }
    await delay(tries === 0 ? 0 : 100);
  }
  return false;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
