import { mkdirSync } from "node:fs";
import { join } from "node:path";

import { createApiClient } from "./api-client.ts";
import { bootstrapObjects } from "./bootstrap.ts";
import {
  apiServerCommand,
  controllerManagerCommand,
  createClusterPki,
  etcdCommand,
} from "./control-plane.ts";
import type { ControlPlaneAddresses } from "./control-plane.ts";
import { writeState } from "./layout.ts";
import type { ClusterState } from "./layout.ts";
import { reservePorts } from "./ports.ts";
import { startDaemon } from "./processes.ts";
import { waitReady } from "./readiness.ts";
import { assertNew, endOnFailure, linkPrograms, withClusterLock, writeKubeconfigs } from "./start.ts";
import type { StartOptions } from "./start.ts";

/** etcd, kube-apiserver and kube-controller-manager as plain processes on loopback. */
export async function startControlPlaneTier(options: StartOptions): Promise<void> {
  const { name, folder } = options;
  await withClusterLock(name, folder, async () => {
    assertNew(name, folder);
    await linkPrograms(folder, ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"], options);
    const reserved = await reservePorts(4);
    try {
      await endOnFailure(folder, () => start(options, reserved.ports));
    } finally {
      await reserved.release();
    }
  });
}

async function start(options: StartOptions, ports: readonly number[]): Promise<void> {
  const { folder } = options;
  const [apiServerPort = 0, etcdClientPort = 0, etcdPeerPort = 0, controllerManagerPort = 0] = ports;
  const at: ControlPlaneAddresses = {
    host: "127.0.0.1",
    apiServerBind: "127.0.0.1",
    advertise: "127.0.0.1",
    apiServerPort,
    etcdClientPort,
    etcdPeerPort,
    controllerManagerPort,
    // Made from a port that no other cluster has, so that no other cluster has this network.
    serviceCidr: `127.${64 + (apiServerPort >> 9)}.${(apiServerPort >> 1) & 255}.0/24`,
  };
  const serverUrl = `https://127.0.0.1:${apiServerPort}`;
  const program = (file: string): string[] => [join(folder, "bin", file)];
  mkdirSync(join(folder, "pki"), { recursive: true, mode: 0o700 });
  const starting: ClusterState = {
    name: options.name,
    tier: "control-plane",
    phase: "starting",
    serverUrl,
    ports: {
      "kube-apiserver": apiServerPort,
      etcd: etcdClientPort,
      "etcd-peer": etcdPeerPort,
      "kube-controller-manager": controllerManagerPort,
    },
    serviceCidr: at.serviceCidr,
    commands: {},
  };
  writeState(folder, starting);
  const pki = await createClusterPki(join(folder, "pki"), at);
  writeKubeconfigs(folder, serverUrl, pki);
  const commands = {
    etcd: etcdCommand(program("etcd"), folder, pki, at),
    "kube-apiserver": apiServerCommand(program("kube-apiserver"), pki, at, [
      // No node: nothing may write addresses of 127.0.0.0/8 into Endpoints, which the API refuses.
      "--endpoint-reconciler-type=none",
      ...options.apiServerArgs,
    ]),
    "kube-controller-manager": controllerManagerCommand(
      program("kube-controller-manager"),
      { ...pki, kubeconfig: join(folder, "controller-manager.conf") },
      at,
    ),
  };
  const run = (component: keyof typeof commands) =>
    startDaemon({ folder, name: component, command: commands[component] });
  const needs = { etcd: run("etcd"), "kube-apiserver": run("kube-apiserver") };
  const client = createApiClient(serverUrl, pki.ca.cert, pki.superAdmin);
  const answers = async (path: string): Promise<boolean> => (await client.send("GET", path)).status === 200;
  await waitReady({ folder, what: "kube-apiserver", seconds: 60, needs, ready: () => answers("/readyz") });
  const all = { ...needs, "kube-controller-manager": run("kube-controller-manager") };
  for (const { path, object } of bootstrapObjects({ serverUrl, caPath: pki.ca.cert })) {
    await client.create(path, object);
  }
  await waitReady({
    folder,
    what: "the ServiceAccount default/default",
    seconds: 60,
    needs: all,
    ready: () => answers("/api/v1/namespaces/default/serviceaccounts/default"),
  });
  writeState(folder, { ...starting, phase: "ready", commands });
}
