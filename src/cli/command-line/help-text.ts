import type { CommandSpecification } from "./command.ts";
import { flagsOf } from "./parse-flags.ts";
import type { FlagSpecification } from "./flag.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const NAME_WIDTH = 11;

/** What `--help` prints: what the command is for, then its usage. */
export function helpText(command: CommandSpecification, path: string, environment: Environment): string {
  return `${(command.description ?? command.summary).trimEnd()}\n\n${usageText(command, path, environment)}`;
}

/** Usage line, examples, commands and flags, in the layout that users of the existing CLI know. */
export function usageText(command: CommandSpecification, path: string, environment: Environment): string {
  const commands = visibleCommands(command);
  const sections = [
    ["Usage:", ...usageLines(command, path)],
    ...(command.examples === undefined
      ? []
      : [["Examples:", command.examples.replaceAll("lanyard", () => rootOf(path))]]),
    ...(commands.length === 0 ? [] : [["Available Commands:", ...commandLines(command, commands)]]),
    ["Flags:", ...flagLines(flagsOf(command, environment))],
    ...(commands.length === 0
      ? []
      : [[`Use "${path} [command] --help" for more information about a command.`]]),
  ];
  return `${sections.map((lines) => lines.join("\n")).join("\n\n")}\n`;
}

/** The commands below one that people are told of, by name. */
export function visibleCommands(command: CommandSpecification): readonly CommandSpecification[] {
  return (command.commands ?? [])
    .filter(({ hidden }) => hidden !== true)
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

export function usageLines(command: CommandSpecification, path: string): readonly string[] {
  const positional = command.positional === undefined ? "" : ` ${command.positional.usage}`;
  return [
    ...(command.load === undefined ? [] : [`  ${path}${positional} [flags]`]),
    ...(visibleCommands(command).length === 0 ? [] : [`  ${path} [command]`]),
  ];
}

/** One line per flag that is not hidden, by name. */
export function flagLines(flags: readonly FlagSpecification[]): readonly string[] {
  const rows = flags
    .filter(({ hidden, deprecated }) => hidden !== true && deprecated === undefined)
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((flag) => {
      const { valueName, text } = describe(flag);
      const shorthand = flag.shorthand === undefined ? "    " : `-${flag.shorthand}, `;
      return { head: `  ${shorthand}--${flag.name}${valueName === "" ? "" : ` ${valueName}`}`, text };
    });
  const width = Math.max(...rows.map(({ head }) => head.length)) + 3;
  return rows.map(({ head, text }) => `${head.padEnd(width)}${text}`);
}

function commandLines(
  parent: CommandSpecification,
  commands: readonly CommandSpecification[],
): readonly string[] {
  const width = Math.max(NAME_WIDTH, ...(parent.commands ?? []).map(({ name }) => name.length));
  return commands.map(({ name, summary }) => `  ${name.padEnd(width)} ${summary}`);
}

/** A word in backquotes names the value; otherwise its kind does. */
function describe({ kind, description, defaultValue = "" }: FlagSpecification): {
  readonly valueName: string;
  readonly text: string;
} {
  const named = /`([^`]+)`/.exec(description)?.[1];
  const kindName = { string: "string", boolean: "", list: "strings", port: "uint16", duration: "duration" }[
    kind
  ];
  const isZero = ["", "0", "0s", "false"].includes(defaultValue);
  const shown = { string: `"${defaultValue}"`, list: `[${defaultValue}]` }[kind as string] ?? defaultValue;
  return {
    valueName: named ?? kindName,
    text: `${description.replaceAll("`", "")}${isZero ? "" : ` (default ${shown})`}`,
  };
}

function rootOf(path: string): string {
  return path.startsWith("kubectl ") ? path.split(" ", 2).join(" ") : (path.split(" ", 1)[0] ?? "");
}
