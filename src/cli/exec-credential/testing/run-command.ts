import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CommandContext } from "../../context.ts";
import { execute } from "../../command-line/execute.ts";
import { findCommand } from "../../command-line/find-command.ts";
import { createTestContext, type TestContext } from "../../http/testing/context.ts";
import { program } from "../../program.ts";

/** A home folder of its own, private, gone with the test. */
export function createHome(): {
  readonly path: string;
  readonly file: (name: string) => string;
} & Disposable {
  const path = mkdtempSync(join(tmpdir(), "lanyard-cli-"));
  return {
    path,
    file: (name) => join(path, ".config", "pinniped", name),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** What a command did: its output, what it wrote to stderr, its error's text. */
export interface CommandRun {
  readonly context: TestContext;
  readonly output: string;
  readonly errors: string;
  /** What would stand behind `Error: `. */
  readonly error?: string;
}

export async function runCommand(
  args: readonly string[],
  home: { readonly path: string },
  overrides: Partial<CommandContext> & { readonly terminal?: boolean } = {},
): Promise<CommandRun> {
  const context = createTestContext({
    args,
    homeFolder: home.path,
    ...overrides,
    environment: { HOME: home.path, ...overrides.environment },
  });
  let error: string | undefined;
  try {
    await execute(findCommand(program, "lanyard", args, context.environment), context);
  } catch (thrown) {
    error = thrown instanceof Error ? thrown.message : String(thrown);
  }
  return {
    context,
    output: context.output(),
    errors: context.errors(),
    ...(error === undefined ? {} : { error }),
  };
}
