import { LanyardError } from "../errors.ts";

/** What ends a command: printed as `Error: <message>` on stderr, exit code 1 (contract cli.md 1). One line, with cause and remedy. */
export class CommandError extends LanyardError {
  constructor(code: string, message: string, cause?: unknown) {
    super({ code, message, cause });
    this.name = "CommandError";
  }
}
