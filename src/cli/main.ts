#!/usr/bin/env node
// The command line program: everything that is the process's own stays in this file and goes on as a CommandContext.
import { fstatSync, statSync, writeSync } from "node:fs";
import { basename, isAbsolute } from "node:path";
import { systemClock } from "../clock.ts";
import { LanyardError, messageOf } from "../errors.ts";
import { createCommandLog } from "./command-log.ts";
import { execute } from "./command-line/execute.ts";
import type { FoundCommand } from "./command-line/find-command.ts";
import type { CommandContext, TextOutput } from "./context.ts";
import { displayName } from "./command-line/display-name.ts";
import { loginCommands } from "./login-commands.ts";

const STDIN = 0;
const STDOUT = 1;
const STDERR = 2;
const SCRIPT = /\.[cm]?[jt]s$/;
/** Milliseconds in which a command that was told to stop may still clean up. */
const GRACE = 5_000;

/** Nobody reads stdout any more. */
class OutputClosed extends Error {}

let aborter: AbortController | undefined;
let endedBy: NodeJS.Signals | undefined;

function createContext(): CommandContext {
  const { env: environment, platform } = process;
  const started = process.argv[1] ?? process.execPath;
  const file = basename(started);
  const programName = file === "main.ts" ? "lanyard" : file.replace(SCRIPT, "");
  const stderr = createOutput(STDERR);
  // What costs to find out is found out when somebody asks: a cache hit asks for nothing of it.
  return {
    args: process.argv.slice(2),
    programName,
    executablePath: executablePath(started),
    environment,
    platform,
    userId: process.getuid?.(),
    parentProcessId: process.ppid,
    get homeFolder() {
      return homeFolder();
    },
    stdout: createOutput(STDOUT),
    stderr,
    get stdinIsTerminal() {
      return isTerminal(STDIN);
    },
    clock: systemClock,
    log: createCommandLog({ clock: systemClock, write: (line) => stderr.write(line) }),
    get signal() {
      return abortSignal();
    },
  };
}

/** A single executable learns only how it was called; Windows starts no script by its path, but the command that npm puts beside it by its name. */
function executablePath(started: string): string {
  if (!isAbsolute(started)) {
    return process.execPath;
  }
  const file = basename(started);
  return process.platform === "win32" && SCRIPT.test(file) ? file.replace(SCRIPT, "") : started;
}

/** The shape that every kubeconfig has, without a look at the other commands. */
function findLogin({ programName, args: words }: CommandContext): FoundCommand | undefined {
  const [group, name, ...args] = words;
  const command = group === "login" ? loginCommands.commands.find((each) => each.name === name) : undefined;
  return command === undefined
    ? undefined
    : { command, path: `${displayName(programName)} login ${name}`, args };
}

async function findAny({ programName, args, environment }: CommandContext): Promise<FoundCommand> {
  const [{ findCommand }, { program }] = await Promise.all([
    import("./command-line/find-command.ts"),
    import("./program.ts"),
  ]);
  return findCommand(program, programName, args, environment);
}

function createOutput(descriptor: number): TextOutput {
  return {
    write: (text) => {
      let rest = Buffer.from(text);
      while (rest.length > 0) {
        rest = rest.subarray(writeSome(descriptor, rest));
      }
    },
    get isTerminal() {
      return isTerminal(descriptor);
    },
  };
}

/** Written at once and not by `process.stdout`, whose making costs a cache hit a tenth of its time. */
function writeSome(descriptor: number, bytes: Buffer): number {
  try {
    return writeSync(descriptor, bytes);
  } catch (error) {
    switch ((error as NodeJS.ErrnoException).code) {
      case "EAGAIN":
        // A pipe that is full and, through somebody else's doing, does not block.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
        return 0;
      case "EPIPE":
      case "EOF":
        if (descriptor === STDERR) {
          return bytes.length;
        }
        throw new OutputClosed();
      default:
        throw error;
    }
  }
}

function isTerminal(descriptor: number): boolean {
  if (!isDevice(descriptor)) {
    return false;
  }
  return process.getBuiltinModule("node:tty").isatty(descriptor);
}

/** Most that is no terminal is no device, or the null device, which clients give to a plugin that may not ask; telling so is cheap. */
function isDevice(descriptor: number): boolean {
  try {
    return (
      fstatSync(descriptor).isCharacterDevice() && fstatSync(descriptor).rdev !== statSync("/dev/null").rdev
    );
  } catch {
    // Windows has no such path: there only the slower way tells.
    return true;
  }
}

function homeFolder(): string | undefined {
  try {
    const folder = process.getBuiltinModule("node:os").homedir();
    return folder === "" ? undefined : folder;
  } catch {
    // Somebody whom the system does not know, in a container.
    return undefined;
  }
}

function report(error: unknown, context: CommandContext): void {
  context.stderr.write(`Error: ${messageOf(error)}
`);
  if (!(error instanceof LanyardError) && error instanceof Error) {
    context.log.debug("unexpected error", { stack: error.stack });
  }
}

/** Signals end the process as they always do until somebody wants to hear of them; a second one does so again. */
function abortSignal(): AbortSignal {
  if (aborter === undefined) {
    const made = new AbortController();
    aborter = made;
    for (const name of ["SIGINT", "SIGTERM"] as const) {
      process.once(name, () => {
        endedBy = name;
        made.abort(new LanyardError({ code: "cli.interrupted", message: "interrupted" }));
        setTimeout(endBySignal, GRACE).unref();
      });
    }
  }
  return aborter.signal;
}

/** Who was told to stop ends by that signal, so that the shell that waits stops, too. */
function endBySignal(): void {
  if (endedBy !== undefined) {
    process.removeAllListeners(endedBy);
    process.kill(process.pid, endedBy);
  }
}

/** What Node has to say about its own features is not for people who wait for kubectl. */
function hideWarnings(): void {
  const emit = process.emitWarning;
  process.emitWarning = (warning: string | Error, ...rest: never[]) => {
    const [options] = rest as readonly (string | { readonly type?: string } | undefined)[];
    const type =
      warning instanceof Error ? warning.name : typeof options === "object" ? options.type : options;
    if (type !== "ExperimentalWarning" && type !== "DeprecationWarning") {
      emit.call(process, warning, ...rest);
    }
  };
}

async function main(): Promise<void> {
  hideWarnings();
  const context = createContext();
  try {
    await execute(findLogin(context) ?? (await findAny(context)), context);
    process.exitCode = 0;
  } catch (error) {
    process.exitCode = 1;
    if (!(error instanceof OutputClosed)) {
      report(error, context);
    }
  }
  endBySignal();
  // What a library still holds open, such as an idle connection, must not keep kubectl waiting.
  process.exit();
}

void main();
