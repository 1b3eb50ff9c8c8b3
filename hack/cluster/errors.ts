import { LanyardError } from "../../src/errors.ts";

/** A command line that cannot be understood; the program ends with exit code 2. */
export function usageError(message: string): LanyardError {
  return new LanyardError({ code: "cluster.usage", message });
}

/** Something that the person at the keyboard can put right; the program ends with one line and exit code 1. */
export function clusterError(code: string, message: string, cause?: unknown): LanyardError {
  return new LanyardError({ code: `cluster.${code}`, message, cause });
}
