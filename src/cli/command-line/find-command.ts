import type { CommandSpecification } from "./command.ts";
import type { FlagSpecification } from "./flag.ts";
import { displayName } from "./display-name.ts";
import { flagsOf } from "./parse-flags.ts";
import { unknownCommand } from "./unknown-command.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** A command and where it stands in the tree. */
export interface FoundCommand {
  readonly command: CommandSpecification;
  /** As people type it, such as `lanyard get kubeconfig`. */
  readonly path: string;
  /** What is left of the arguments, flags included. */
  readonly args: readonly string[];
}

/**
 * Walks down from `program` by the words among `args`; flags may stand before a command's name. A word that names no command ends
 * the walk; at the top that is an error, below it the command's own affair (contract cli.md 1).
 */
export function findCommand(
  program: CommandSpecification,
  programName: string,
  args: readonly string[],
  environment: Environment,
): FoundCommand {
  let found: FoundCommand = { command: program, path: displayName(programName), args };
  for (;;) {
    const at = findWord(found.args, flagsOf(found.command, environment));
    const word = found.args[at];
    const next = found.command.commands?.find(({ name }) => name === word);
    if (word === undefined || next === undefined) {
      if (word !== undefined && found.command === program) {
        throw unknownCommand(word, found.path, `\nRun '${found.path} --help' for usage.`);
      }
      return found;
    }
    found = { command: next, path: `${found.path} ${word}`, args: found.args.toSpliced(at, 1) };
  }
}

/** Index of the first argument that is neither a flag nor, as far as can be told, a flag's value. */
function findWord(args: readonly string[], flags: readonly FlagSpecification[]): number {
  const takesNoValue = (argument: string): boolean =>
    argument.includes("=") ||
    flags.some(
      ({ name, shorthand, kind }) =>
        kind === "boolean" && (argument === `--${name}` || argument === `-${shorthand}`),
    );
  for (let index = 0; index < args.length; index++) {
    const argument = args[index] ?? "";
    if (argument === "--") {
      return -1;
    }
    if (argument.startsWith("-") && argument !== "-") {
      if (!takesNoValue(argument) && (argument.startsWith("--") || argument.length === 2)) {
        index++;
      }
      continue;
    }
    if (argument !== "") {
      return index;
    }
  }
  return -1;
}
