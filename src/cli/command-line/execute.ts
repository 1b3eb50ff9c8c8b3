import type { CommandContext } from "../context.ts";
import type { FoundCommand } from "./find-command.ts";
import { flagsOf, parseFlags, requireFlags } from "./parse-flags.ts";
import { unknownCommand } from "./unknown-command.ts";

/**
 * Runs a command. The order of what is looked at is that of contract cli.md 1: its flags, `--help`, surplus arguments, required flags.
 * Throws `CommandError`.
 */
export async function execute(found: FoundCommand, context: CommandContext): Promise<void> {
  const { command, args } = found;
  if (command.rawArguments === true && command.load !== undefined) {
    await (await command.load()).run(context, parseFlags([], []).flags, args);
    return;
  }
  const specifications = flagsOf(command, context.environment);
  const { flags, positionals, notices } = parseFlags(specifications, args);
  for (const notice of notices) {
    context.stderr.write(`${notice}\n`);
  }
  if (command.load === undefined || flags.boolean("help")) {
    await printHelp(context, found);
    return;
  }
  const surplus = positionals[command.positional?.maximum ?? 0];
  if (surplus !== undefined) {
    throw unknownCommand(surplus, found.path);
  }
  requireFlags(specifications, flags);
  await (await command.load()).run(context, flags, positionals);
}

async function printHelp(context: CommandContext, { command, path }: FoundCommand): Promise<void> {
  const { helpText } = await import("./help-text.ts");
  context.stdout.write(helpText(command, path, context.environment));
}
