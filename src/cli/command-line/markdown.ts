import type { CommandSpecification } from "./command.ts";
import { flagsOf } from "./parse-flags.ts";
import { flagLines, usageLines, visibleCommands } from "./help-text.ts";

/** A reference of every visible command as one Markdown page (contract cli.md 1: `generate-markdown-help`). */
export function markdownReference(program: CommandSpecification, path: string): string {
  const sections = walk(program, path)
    .filter(({ command }) => command.load !== undefined)
    .map(({ command, path: commandPath }) => section(command, commandPath));
  return `# ${path} reference\n\n${sections.join("\n")}`;
}

interface Place {
  readonly command: CommandSpecification;
  readonly path: string;
}

function walk(command: CommandSpecification, path: string): readonly Place[] {
  return [
    { command, path },
    ...visibleCommands(command).flatMap((child) => walk(child, `${path} ${child.name}`)),
  ];
}

function section(command: CommandSpecification, path: string): string {
  // The page is the same wherever it is made: no defaults from this machine.
  const flags = flagLines(flagsOf(command, { HOME: "~" }));
  const parts = [
    `## ${path}`,
    (command.description ?? command.summary).trimEnd(),
    block(usageLines(command, path).map((line) => line.trim())),
    ...(command.examples === undefined ? [] : ["### Examples", block([command.examples])]),
    "### Flags",
    block(flags),
  ];
  return `${parts.join("\n\n")}\n`;
}

function block(lines: readonly string[]): string {
  return ["```", ...lines, "```"].join("\n");
}
