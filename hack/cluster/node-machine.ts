import { existsSync } from "node:fs";
import { join } from "node:path";

import { findProgram } from "./go-program.ts";
import { clusterError } from "./errors.ts";

/** Programs of the node tier and the Debian packages that bring them. */
const programs: readonly (readonly [program: string, debianPackage: string])[] = [
  ["containerd", "containerd"],
  ["containerd-shim-runc-v2", "containerd"],
  ["ctr", "containerd"],
  ["runc", "runc"],
  ["iptables", "iptables"],
  ["nft", "nftables"],
  ["conntrack", "conntrack"],
  ["ip", "iproute2"],
  ["nsenter", "util-linux"],
  ["unshare", "util-linux"],
  ["mount", "mount"],
];

const pluginFolders = ["/usr/lib/cni", "/opt/cni/bin"];
const plugins = ["ptp", "host-local", "portmap", "loopback"];

/** The folder with the CNI plugins; undefined when none has all that are needed. */
export function cniPluginFolder(): string | undefined {
  return pluginFolders.find((folder) => plugins.every((plugin) => existsSync(join(folder, plugin))));
}

/** Says in one line what this machine lacks for a node; nothing when it has all. */
export function assertNodeMachine(folder: string): void {
  if (process.platform !== "linux") throw clusterError("platform", "tier node needs Linux");
  if (process.getuid?.() !== 0) throw clusterError("root", "tier node needs root rights: run it as root");
  const missing = programs.filter(([program]) => findProgram(program) === undefined).map((row) => [...row]);
  if (cniPluginFolder() === undefined) missing.push(["CNI plugins", "containernetworking-plugins"]);
  if (missing.length > 0) {
    const packages = [...new Set(missing.map(([, debianPackage]) => debianPackage))].join(" ");
    const names = missing.map(([program]) => program).join(", ");
    throw clusterError(
      "tool.missing",
      `missing for tier node: ${names}: install the Debian packages ${packages}`,
    );
  }
  const hidden = ["/run", "/var/run", "/var/lib", "/var/log", "/proc", "/sys"].find(
    (path) => folder === path || folder.startsWith(`${path}/`),
  );
  if (hidden !== undefined) {
    throw clusterError("folder", `tier node cannot keep its files in ${hidden}: choose another --folder`);
  }
  if (!/^[\w./@+-]+$/.test(folder)) {
    throw clusterError("folder", `tier node cannot keep its files in "${folder}": choose a plain --folder`);
  }
}
