import { findCommand } from "../../src/cli/command-line/find-command.ts";
import { flagsOf, parseFlags } from "../../src/cli/command-line/parse-flags.ts";
import { program } from "../../src/cli/program.ts";

/** The calls of `lanyard` among shell commands. */
export function lanyardCommands(script: string): string[] {
  return script
    .replaceAll(/\\\n\s*/g, "")
    .split("\n")
    .filter((line) => line.startsWith("lanyard "))
    .map((line) => line.replace(/ [|>].*$/, ""));
}

/** Takes a call apart as the program would; throws what it would say of a command or flag that it does not know. */
export function requireLanyardCommand(line: string): void {
  const [, ...words] = line.split(/\s+/);
  const { command, args } = findCommand(program, "lanyard", words, {});
  const { positionals } = parseFlags(flagsOf(command, {}), args);
  if (command.commands !== undefined && positionals.length > 0) {
    throw new Error(`there is no ${line}`);
  }
}
