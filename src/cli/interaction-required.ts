import { CommandError } from "./command-error.ts";

/** Only a person could go on from here, and this call may not ask for one (contract cli.md 13.3 rule 4). */
export class InteractionRequired extends CommandError {
  constructor(message: string, cause?: unknown) {
    super("cli.interaction-required", message, cause);
    this.name = "InteractionRequired";
  }
}
