import { existsSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";

import { controlPlaneProgram } from "./binaries.ts";
import type { KubernetesRelease } from "./binaries.ts";
import type { Progress } from "./go-program.ts";
import type { ClusterPki } from "./control-plane.ts";
import { clusterError } from "./errors.ts";
import { writeKubeconfig } from "./kubeconfig.ts";
import { folderId, readState } from "./layout.ts";
import { tryLock } from "./machine-lock.ts";
import { endProcesses, recordedProcesses } from "./processes.ts";

/** What both tiers are started with. */
export interface StartOptions {
  readonly name: string;
  readonly folder: string;
  readonly progress: Progress;
  readonly apiServerArgs: readonly string[];
  readonly kubernetes: KubernetesRelease;
}

/** Runs `work` while no other process starts or stops this cluster. */
export async function withClusterLock<T>(name: string, folder: string, work: () => Promise<T>): Promise<T> {
  const held = await tryLock(`cluster-${folderId(folder)}`);
  if (!held) {
    throw clusterError("busy", `cluster "${name}" is being started or stopped by another process right now`);
  }
  try {
    return await work();
  } finally {
    await held.release();
  }
}

/** Refuses to start over what is there. */
export function assertNew(name: string, folder: string): void {
  if (!existsSync(folder)) return;
  const state = readState(folder);
  const what =
    state?.phase === "ready" ? `exists already (tier ${state.tier})` : "was started before but never ready";
  throw clusterError(
    "exists",
    `cluster "${name}" ${what}: run down --name ${name} first, or use another --name`,
  );
}

/** Makes `bin/NAME` for every program, so that each process shows the cluster's folder in its command line. */
export async function linkPrograms(
  folder: string,
  names: readonly string[],
  { progress, kubernetes }: Pick<StartOptions, "progress" | "kubernetes">,
  program: typeof controlPlaneProgram = controlPlaneProgram,
): Promise<void> {
  const paths: [string, string][] = [];
  for (const name of names) paths.push([name, await program(name, progress, kubernetes)]);
  mkdirSync(join(folder, "bin"), { recursive: true, mode: 0o700 });
  for (const [name, path] of paths) symlinkSync(path, join(folder, "bin", name));
}

/** Writes the kubeconfigs of the administrators and the controller manager. */
export function writeKubeconfigs(folder: string, serverUrl: string, pki: ClusterPki): void {
  const write = (file: string, name: string, clientCertificate: ClusterPki["admin"]): void =>
    writeKubeconfig(join(folder, file), serverUrl, pki.ca.cert, { name, clientCertificate });
  write("admin.conf", "kubernetes-admin", pki.admin);
  write("super-admin.conf", "kubernetes-super-admin", pki.superAdmin);
  write("controller-manager.conf", "system:kube-controller-manager", pki.controllerManager);
}

/** When a start fails, its processes end and its logs stay for reading until `down`. */
export async function endOnFailure<T>(folder: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    await endProcesses([...recordedProcesses(folder).values()], 3_000);
    throw error;
  }
}
