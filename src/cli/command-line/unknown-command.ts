import { CommandError } from "../command-error.ts";
import { goQuote } from "../../go-text.ts";

/** A word that is no command, behind `path` (contract cli.md 1). */
export function unknownCommand(word: string, path: string, hint = ""): CommandError {
  return new CommandError("cli.command-unknown", `unknown command ${goQuote(word)} for "${path}"${hint}`);
}
