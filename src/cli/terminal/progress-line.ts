import type { Clock } from "../../clock.ts";
import type { TextOutput } from "../context.ts";

/**
 * Tells once a second for how long something has been awaited, on one line that `stop` wipes out. Shows nothing where nobody looks:
 * only a terminal can wipe.
 */
export function showProgress(
  parts: { readonly output: TextOutput; readonly clock: Clock },
  text: string,
): { stop(): void } {
  const { output, clock } = parts;
  if (!output.isTerminal) {
    return { stop: () => {} };
  }
  const start = clock.now();
  let shown = "";
  let cancel = (): void => {};
  const show = (): void => {
    const line = `    ${text} (${Math.round((clock.now() - start) / 1000)} s)`;
    output.write(`\r${line.padEnd(shown.length)}`);
    shown = line;
    cancel = clock.schedule(1000, show);
  };
  show();
  return {
    stop: () => {
      cancel();
      output.write(`\r${" ".repeat(shown.length)}\r`);
    },
  };
}
