import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

import { clusterError } from "./errors.ts";
import { isAlive } from "./processes.ts";
import type { ProcessRecord } from "./processes.ts";

/** The last line of a component's log, at most 300 characters of it. */
export function lastLogLine(folder: string, component: string): string {
  try {
    const file = openSync(join(folder, "logs", `${component}.log`), "r");
    try {
      const size = fstatSync(file).size;
      const tail = Buffer.alloc(Math.min(size, 8_192));
      readSync(file, tail, 0, tail.length, size - tail.length);
      return tail.toString("utf8").trimEnd().split("\n").at(-1)?.slice(0, 300) ?? "";
    } finally {
      closeSync(file);
    }
  } catch {
    return "";
  }
}

/** What is waited for, and the processes without which it cannot come. */
export interface WaitOptions {
  readonly folder: string;
  readonly what: string;
  readonly seconds: number;
  readonly needs: Readonly<Record<string, ProcessRecord>>;
  /** A rejection counts as not yet. */
  readonly ready: () => Promise<boolean> | boolean;
}

/** Waits until something is ready; rejects with the reason when its time is over or a needed process ended. */
export async function waitReady(options: WaitOptions): Promise<void> {
  const end = performance.now() + options.seconds * 1000;
  for (;;) {
    if (await Promise.resolve(options.ready()).catch(() => false)) return;
    for (const [component, record] of Object.entries(options.needs)) {
      if (!isAlive(record)) {
        throw clusterError(
          "component",
          `${component} ended: ${lastLogLine(options.folder, component)} (log: ${join(options.folder, "logs", `${component}.log`)})`,
        );
      }
    }
    if (performance.now() > end) {
      throw clusterError(
        "timeout",
        `${options.what} was not ready after ${options.seconds} s (logs: ${join(options.folder, "logs")})`,
      );
    }
    await delay(100);
  }
}
