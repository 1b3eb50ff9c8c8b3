import { existsSync, readFileSync, readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";

import { podCgroup } from "./cgroups.ts";
import { isAlive, processMark, recordOf } from "./processes.ts";

/**
 * Everything on this machine that belongs to the cluster in this folder, one line each: processes that name the folder
 * or carry its mark, processes in its network namespace, mounts, cgroups, files. Empty after `down`. Looks at the
 * machine and not at the cluster's own records.
 */
export function leftovers(folder: string, networkNamespace?: string): string[] {
  const found: string[] = [];
  const own = String(process.pid);
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name) && name !== own)) {
    const record = recordOf(Number(pid));
    if (!record || !isAlive(record)) continue;
    const command = read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
    const marked = read(`/proc/${pid}/environ`).split("\0").includes(`${processMark}=${folder}`);
    // `up` and `down` themselves are no part of the cluster.
    if (marked || command.includes(`${folder}/`)) found.push(`process ${pid}: ${command.slice(0, 200)}`);
    else if (networkNamespace !== undefined && networkNamespaceOf(Number(pid)) === networkNamespace) {
      found.push(`process ${pid} in the cluster's network: ${command.slice(0, 200)}`);
    }
  }
  for (const line of read("/proc/self/mountinfo").split("\n")) {
    if (line.includes(folder)) found.push(`mount: ${line}`);
  }
  for (const hierarchy of ["", ...subfolders("/sys/fs/cgroup")]) {
    const path = join("/sys/fs/cgroup", hierarchy, podCgroup(folder));
    if (existsSync(path)) found.push(`cgroup: ${path}`);
  }
  if (existsSync(folder)) found.push(`files: ${folder}`);
  return found;
}

/** The identity of a process's network namespace, such as `net:[4026531840]`; undefined when it is gone. */
export function networkNamespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

function subfolders(path: string): string[] {
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
