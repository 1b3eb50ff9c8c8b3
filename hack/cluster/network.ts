import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { messageOf } from "../../src/errors.ts";
import { clusterError } from "./errors.ts";
import type { Tier } from "./layout.ts";
import { isAlive, recordedProcess, startDaemon } from "./processes.ts";
import type { ProcessRecord } from "./processes.ts";
import { lastLogLine } from "./readiness.ts";

/** The process that holds the namespaces of a node-tier cluster open. */
export const holderName = "namespaces";

/** Addresses inside the network of a node-tier cluster; the same in each, as no two networks are connected. */
export const nodeNetwork = {
  nodeAddress: "10.88.0.1",
  nodeCidr: "10.88.0.0/24",
  podCidr: "10.85.0.0/24",
  serviceCidr: "10.96.0.0/24",
} as const;

function holder(folder: string): ProcessRecord {
  const record = recordedProcess(folder, holderName);
  if (!record || !isAlive(record)) {
    throw clusterError("network", `the cluster in ${folder} does not run any more: run down, then up`);
  }
  return record;
}

/** A command as it has to be run to see the cluster's network: unchanged for tier `control-plane`. */
export function insideNetwork(folder: string, tier: Tier, command: readonly string[]): readonly string[] {
  if (tier === "control-plane") return command;
  return ["nsenter", `--net=/proc/${holder(folder).pid}/ns/net`, "--", ...command];
}

/** A command as it has to be run to be one of the node's own processes: its network, mounts and pids. */
export function insideNode(folder: string, command: readonly string[]): readonly string[] {
  return ["nsenter", "--net", "--mount", "--pid", `--target=${holder(folder).pid}`, "--", ...command];
}

/** What the kubelet wants from the machine's kernel settings (its container manager's `setupKernelTunables`). */
const kernelTunables = {
  "vm/overcommit_memory": "1",
  "vm/panic_on_oom": "0",
  "kernel/panic": "10",
  "kernel/panic_on_oops": "1",
  "kernel/keys/root_maxkeys": "1000000",
  "kernel/keys/root_maxbytes": "25000000",
};

/**
 * Makes the network, mount and pid namespaces in which the whole node lives. There is no route out of the network.
 * Ending their first process ends every process in them, containers too, and with the last process all their mounts
 * and devices go: nothing has a name outside.
 */
export function createNamespaces(folder: string, pauseProgram: string): void {
  const program = join(folder, "bin", holderName);
  symlinkSync(pauseProgram, program);
  const options = {
    folder,
    name: holderName,
    wrapped: true,
    command: [
      "unshare",
      "--net",
      "--mount",
      "--pid",
      "--fork",
      "--kill-child",
      "--mount-proc",
      "--propagation=private",
      program,
    ],
  };
  try {
    startDaemon(options);
  } catch (error) {
    const reason = lastLogLine(folder, holderName) || messageOf(error);
    throw clusterError("network", `this machine does not allow namespaces of our own: ${reason}`, error);
  }
  const tunables = join(folder, "kernel");
  mkdirSync(tunables);
  const settings = Object.entries(kernelTunables).filter(([name]) => existsSync(join("/proc/sys", name)));
  const binds = settings.map(([name, value]) => {
    const file = join(tunables, name.replaceAll("/", "-"));
    writeFileSync(file, `${value}\n`);
    // These are not per namespace: the kubelet gets to see what it wants to see, and the machine stays as it is.
    return `mount --bind '${file}' /proc/sys/${name}`;
  });
  const { nodeAddress, serviceCidr } = nodeNetwork;
  const script = [
    "set -e",
    // Fixed paths of containerd, CNI, kubelet and iptables; two clusters and the machine's own stay apart.
    ...["/run", "/var/lib", "/var/log"].map((path) => `mount -t tmpfs -o mode=755 lanyard ${path}`),
    "mkdir -p /run/netns /run/lock",
    ...binds,
    "ip link set lo up",
    "ip link add node0 type bridge",
    `ip address add ${nodeAddress}/24 dev node0`,
    "ip link set node0 up",
    // Only a reason for the kernel to accept these packets, which kube-proxy then redirects.
    `ip route add ${serviceCidr} dev node0 src ${nodeAddress}`,
    "echo 1 > /proc/sys/net/ipv4/ip_forward",
  ].join("\n");
  const [command = "", ...args] = insideNode(folder, ["/bin/sh", "-c", script]);
  const done = spawnSync(command, args, { encoding: "utf8" });
  if (done.status !== 0) {
    throw clusterError("network", `the node's namespaces could not be made: ${done.stderr.trim()}`);
  }
}
