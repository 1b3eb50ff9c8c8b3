import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";

export type Tier = "unit" | "security" | "integration" | "cluster" | "cluster-alone" | "long";

interface Need {
  readonly program: string;
  /** The Debian package that brings it. */
  readonly package: string;
}

const go: Need = { program: "go", package: "golang" };
const openssl: Need = { program: "openssl", package: "openssl" };
const node: readonly Need[] = [
  { program: "containerd", package: "containerd" },
  { program: "runc", package: "runc" },
  { program: "nft", package: "nftables" },
  { program: "iptables", package: "iptables" },
  { program: "conntrack", package: "conntrack" },
  { program: "ip", package: "iproute2" },
  { program: "nsenter", package: "util-linux" },
  { program: "busybox", package: "busybox-static" },
];
/** Tiers with a real node in them. */
const onNode = new Set<Tier>(["cluster", "cluster-alone", "long"]);
const nmap: Need = { program: "nmap", package: "nmap" };

/** The command line program: a browser, a terminal, clocks that are wrong. */
const person: readonly Need[] = [
  { program: "chromium", package: "chromium" },
  { program: "script", package: "bsdutils" },
  { program: "faketime", package: "faketime" },
];
const prometheus: readonly Need[] = [
  { program: "prometheus", package: "prometheus" },
  { program: "promtool", package: "prometheus" },
];

const needs: Readonly<Record<Tier, readonly Need[]>> = {
  unit: [openssl, go],
  security: [openssl, go, nmap],
  integration: [openssl, go, nmap, ...person, ...prometheus],
  cluster: [openssl, go, ...node],
  "cluster-alone": [openssl, go, ...node],
  long: [openssl, go, ...node, ...person],
};

/** What this machine lacks for a tier, as one clause, or nothing. */
export function missingForTier(tier: Tier): string | undefined {
  if (onNode.has(tier) && process.platform !== "linux") {
    return "it needs Linux";
  }
  const absent = needs[tier].filter(({ program }) => !onPath(program));
  if (absent.length > 0) {
    return `install ${[...new Set(absent.map((need) => need.package))].join(" ")}`;
  }
  if (onNode.has(tier) && !existsSync("/usr/lib/cni/ptp") && !existsSync("/opt/cni/bin/ptp")) {
    return "install containernetworking-plugins";
  }
  if (onNode.has(tier) && process.getuid?.() !== 0) {
    return "it needs root";
  }
  return undefined;
}

function onPath(program: string): boolean {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
