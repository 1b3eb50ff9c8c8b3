import { readFileSync } from "node:fs";
import { createServer } from "node:net";

import { clusterError } from "./errors.ts";
import { tryLock } from "./machine-lock.ts";
import type { MachineLock } from "./machine-lock.ts";

/** TCP ports of 127.0.0.1 that are kept from other clusters until `release`. */
export interface ReservedPorts {
  readonly ports: readonly number[];
  release(): Promise<void>;
}

function canBind(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** The lowest port that the kernel gives to outgoing connections and to `port: 0`. */
function firstEphemeralPort(): number {
  try {
    return Number(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").split(/\s+/)[0]);
  } catch {
    return 32_768;
  }
}

/**
 * Chooses free ports below the kernel's ephemeral range, so that a port stays free while its server is stopped for a
 * while. Two clusters that start at the same moment never get the same one.
 */
export async function reservePorts(count: number): Promise<ReservedPorts> {
  const lowest = 20_000;
  const width = Math.max(firstEphemeralPort() - lowest, 4_096);
  const locks: MachineLock[] = [];
  const ports: number[] = [];
  const release = async (): Promise<void> => {
    await Promise.all(locks.splice(0).map((held) => held.release()));
  };
  for (let tries = 0; ports.length < count; tries++) {
    if (tries > 1_000) {
      await release();
      throw clusterError("ports", `no ${count} free ports found from ${lowest} up`);
    }
    const port = lowest + Math.floor(Math.random() * width);
    const held = await tryLock(`port-${port}`);
    if (!held) continue;
    if (await canBind(port)) {
      locks.push(held);
      ports.push(port);
    } else {
      await held.release();
    }
  }
  return { ports, release };
}
