import { readdirSync, readFileSync } from "node:fs";

/** CPU that a process has used so far, user and system, all threads, milliseconds; from the scheduler's own books, in nanoseconds. */
export function processCpuMilliseconds(pid: number): number {
  let nanoseconds = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1").split(" ", 1)[0]);
  }
  return nanoseconds / 1e6;
}
