import { spawnSync } from "node:child_process";

/**
 * Moves processes, with all their threads and what they start from now on, to the last of the processors that this one may use; the
 * function that is returned gives all of them back. By taskset(1), of Debian's util-linux.
 */
export function keepOnOneProcessor(processIds: readonly number[]): () => void {
  const all =
    taskset(["-cp", String(process.pid)])
      .split(": ")
      .at(-1)
      ?.trim() ?? "";
  const last = all.split(/[,-]/).at(-1) ?? "";
  const move = (processors: string): void =>
    processIds.forEach((processId) => taskset(["-acp", processors, String(processId)]));
  move(last);
  return () => move(all);
}

function taskset(args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync("taskset", args, { encoding: "utf8" });
  if (status !== 0) {
    throw new Error(`taskset (Debian package util-linux) failed: ${error?.message ?? stderr.trim()}`);
  }
  return stdout;
}
