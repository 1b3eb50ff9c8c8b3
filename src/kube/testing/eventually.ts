import { setTimeout } from "node:timers/promises";

/** Waits until `condition` holds; for what happens on real sockets, where no clock can be moved. */
export async function eventually(
  what: string,
  condition: () => boolean,
  milliseconds = 10_000,
): Promise<void> {
  const end = performance.now() + milliseconds;
  while (!condition()) {
    if (performance.now() > end) {
      throw new Error(`waited ${milliseconds} ms in vain: ${what}`);
    }
    await setTimeout(5);
  }
}
