import { systemClock } from "../../../clock.ts";
import type { CommandContext } from "../../context.ts";
import type { CommandLogLevel } from "../../log.ts";

/** A context whose outputs are read by a test. */
export interface TestContext extends CommandContext {
  readonly output: () => string;
  readonly errors: () => string;
  /** Every line that was logged, whatever the level. */
  readonly lines: { level: CommandLogLevel; message: string; values: Readonly<Record<string, unknown>> }[];
}

export function createTestContext(
  overrides: Partial<CommandContext> & { terminal?: boolean } = {},
): TestContext {
  const { terminal = false, ...rest } = overrides;
  let output = "";
  let errors = "";
  const lines: TestContext["lines"] = [];
  const line =
    (level: CommandLogLevel) =>
    (message: string, values: Readonly<Record<string, unknown>> = {}): void => {
      lines.push({ level, message, values });
    };
  return {
    args: [],
    programName: "lanyard",
    executablePath: "/usr/local/bin/lanyard",
    environment: {},
    platform: "linux",
    homeFolder: undefined,
    stdout: {
      write: (text) => {
        output += text;
      },
      isTerminal: terminal,
    },
    stderr: {
      write: (text) => {
        errors += text;
      },
      isTerminal: terminal,
    },
    stdinIsTerminal: terminal,
    clock: systemClock,
    log: { error: line("error"), info: line("info"), debug: line("debug"), setLevel: () => {} },
    signal: new AbortController().signal,
    ...rest,
    output: () => output,
    errors: () => errors,
    lines,
  };
}
