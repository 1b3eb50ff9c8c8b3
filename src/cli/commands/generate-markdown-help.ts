import type { RunCommand } from "../command-line/command.ts";
import { displayName } from "../command-line/display-name.ts";
import { markdownReference } from "../command-line/markdown.ts";
import { program } from "../program.ts";

/** `generate-markdown-help` (contract cli.md 1). */
export const run: RunCommand = async ({ programName, stdout }) => {
  stdout.write(markdownReference(program, displayName(programName)));
};
