import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

import { clusterError, usageError } from "./errors.ts";

/** `control-plane`: etcd and the control plane on loopback. `node`: with a kubelet, in a network of its own. */
export type Tier = "control-plane" | "node";

/** What is written beside a cluster's files; all that `down` and `status` need to know. */
export interface ClusterState {
  readonly name: string;
  readonly tier: Tier;
  /** `starting` until the cluster was ready once. */
  readonly phase: "starting" | "ready";
  /** The address that clients inside and outside use: for `node` it is inside the cluster's network. */
  readonly serverUrl: string;
  readonly ports: Readonly<Record<string, number>>;
  readonly serviceCidr: string;
  /** Full command lines by component, to start one again. */
  readonly commands: Readonly<Record<string, readonly string[]>>;
}

/** The folder of all clusters: the option, `$LANYARD_CLUSTERS`, or `lanyard/clusters` in the user's state folder. */
export function clustersFolder(option?: string): string {
  const chosen = option ?? process.env["LANYARD_CLUSTERS"];
  if (chosen !== undefined && chosen !== "") return resolve(chosen);
  const state = process.env["XDG_STATE_HOME"];
  return join(
    state !== undefined && state !== "" ? state : join(homedir(), ".local", "state"),
    "lanyard",
    "clusters",
  );
}

/** The folder of one cluster. Names are DNS labels of at most 32 characters, as they become parts of other names. */
export function clusterFolder(name: string, folder?: string): string {
  if (!/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/.test(name)) {
    throw usageError(
      `"${name}" is no name for a cluster: use up to 32 lower-case letters, digits and hyphens`,
    );
  }
  return join(clustersFolder(folder), name);
}

/** A short name that stands for the folder where a path would be too long or not allowed. */
export function folderId(folder: string): string {
  return createHash("sha256").update(folder).digest("hex").slice(0, 12);
}

/** The names of all clusters in this folder. */
export function clusterNames(folder?: string): string[] {
  const base = clustersFolder(folder);
  return existsSync(base)
    ? readdirSync(base, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => entry.name)
        .toSorted()
    : [];
}

/** The state of a cluster; undefined when `up` was cut off before it wrote any. */
export function readState(folder: string): ClusterState | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, "state.json"), "utf8")) as ClusterState;
  } catch {
    return undefined;
  }
}

/** Writes the state in one step. */
export function writeState(folder: string, state: ClusterState): void {
  const temporary = join(folder, ".state.json");
  writeFileSync(temporary, JSON.stringify(state, undefined, 2) + "\n", { mode: 0o600 });
  renameSync(temporary, join(folder, "state.json"));
}

/** The state of a cluster that has to exist. */
export function existingState(name: string, folder?: string): ClusterState {
  const path = clusterFolder(name, folder);
  if (!existsSync(path))
    throw clusterError("unknown", `there is no cluster named "${name}" in ${clustersFolder(folder)}`);
  const state = readState(path);
  if (state?.phase !== "ready") {
    throw clusterError("unfinished", `cluster "${name}" was never ready: run down --name ${name}, then up`);
  }
  return state;
}
