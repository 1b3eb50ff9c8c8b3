import { CommandError } from "../command-error.ts";
import type { RunCommand } from "../command-line/command.ts";
import { displayName } from "../command-line/display-name.ts";
import { findCommand } from "../command-line/find-command.ts";
import { helpText, usageText } from "../command-line/help-text.ts";
import { program } from "../program.ts";

/** `help [command]`; what is no command gets the usage of the program on stderr, and no error. */
export const run: RunCommand = async (context, _flags, args) => {
  const { environment, programName, stdout, stderr } = context;
  try {
    const { command, path } = findCommand(program, programName, args, environment);
    stdout.write(helpText(command, path, environment));
  } catch (error) {
    if (!(error instanceof CommandError)) {
      throw error;
    }
    stderr.write(`Unknown help topic [\`${args.join("` `")}\`]\n`);
    stderr.write(usageText(program, displayName(programName), environment));
  }
};
