import { LanyardError } from "../../src/errors.ts";

/** A command line that cannot be understood: one line, exit code 2. */
export function usageError(message: string): LanyardError {
  return new LanyardError({ code: "demo.usage", message });
}

/** Something went another way than it should: one line, exit code 1. `log` is what the server said last. */
export class DemoFailure extends LanyardError {
  readonly log: string;

  constructor(message: string, options: { readonly log?: string; readonly cause?: unknown } = {}) {
    super({ code: "demo.failed", message, cause: options.cause });
    this.name = "DemoFailure";
    this.log = options.log ?? "";
  }
}
