import { CommandError } from "../command-error.ts";
import { quote } from "./quote.ts";

/** A word that is no command, behind `path` (contract cli.md 1). */
export function unknownCommand(word: string, path: string, hint = ""): CommandError {
  return new CommandError("cli.command-unknown", `unknown command ${quote(word)} for "${path}"${hint}`);
}
