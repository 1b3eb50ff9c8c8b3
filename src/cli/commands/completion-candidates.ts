import { complete, type Completion, Directive } from "../command-line/complete.ts";
import type { RunCommand } from "../command-line/command.ts";
import type { CommandContext } from "../context.ts";
import { program } from "../program.ts";

/** `__complete <words>`: one candidate a line, a tab before its description, then `:` and a number that tells the shell what else to do. */
export const run: RunCommand = async (context, _flags, args) => {
  print(context, await candidates(context, args), true);
};

/** `__completeNoDesc`: the same without descriptions. */
export const runWithoutDescriptions: RunCommand = async (context, _flags, args) => {
  print(context, await candidates(context, args), false);
};

async function candidates(context: CommandContext, args: readonly string[]): Promise<Completion> {
  return complete(program, context, args, async (path) => {
    try {
      const { readContextNames } = await import("./completion-contexts.ts");
      return await readContextNames(context, path);
    } catch {
      // No kubeconfig or a broken one: the shell has nothing to offer, and must not be disturbed.
      return [];
    }
  });
}

function print({ stdout }: CommandContext, completion: Completion, withDescriptions: boolean): void {
  const lines = completion.candidates.map(({ value, description }) =>
    withDescriptions && description !== undefined ? `${value}\t${description}` : value,
  );
  const directive = completion.files ? Directive.default : Directive.noFiles;
  stdout.write([...lines, `:${directive}`, ""].join("\n"));
}
