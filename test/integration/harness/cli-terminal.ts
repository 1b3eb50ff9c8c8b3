import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Person, ProgramResult } from "./cli.ts";
import { eventually } from "./eventually.ts";

/** A program at a terminal of its own: what is typed is echoed by the terminal unless the program switches that off. */
export interface Terminal {
  /** Everything on the screen so far: stderr, and what the terminal echoed. */
  screen(): string;
  /** Waits until the screen shows it, from where the last wait ended on; answers what came up to and with it. */
  waitFor(text: string | RegExp): Promise<string>;
  type(text: string): void;
  /** The terminal's Ctrl-C: SIGINT to the foreground. */
  interrupt(): void;
  /** How it ended; `stdout` went to a file, `stderr` is the screen. */
  readonly ended: Promise<ProgramResult>;
}

/** Starts a program under util-linux's `script`, with its stdout in a file so that it can be told from the screen. */
export function openTerminal(
  person: Person,
  command: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Terminal {
  const folder = mkdtempSync(join(tmpdir(), "lanyard-terminal-"));
  const stdoutFile = join(folder, "stdout");
  const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  const child = spawn(
    "script",
    [
      "--quiet",
      "--return",
      "--flush",
      "--echo",
      "always",
      "--command",
      `exec ${quoted} >'${stdoutFile}'`,
      "/dev/null",
    ],
    {
      cwd: person.home,
      env: { ...person.environment, SHELL: "/bin/sh", TERM: "dumb", ...environment },
      stdio: ["pipe", "pipe", "inherit"],
    },
  );
  let screen = "";
  let seen = 0;
  child.stdout.on("data", (chunk: Buffer) => (screen += chunk.toString("utf8")));
  child.stdin.on("error", () => {});
  const ended = new Promise<ProgramResult>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      const stdout = readFileSync(stdoutFile, "utf8");
      rmSync(folder, { recursive: true, force: true });
      resolve({ code, stdout, stderr: screen });
    });
  });
  return {
    screen: () => screen,
    waitFor: async (text) => {
      await eventually(
        `${String(text)} on the screen`,
        async () => {
          const rest = screen.slice(seen);
          const at = typeof text === "string" ? rest.indexOf(text) : rest.search(text);
          if (at < 0) {
            if (child.exitCode !== null) {
              throw new Error(`the program ended with ${child.exitCode}:\n${screen}`);
            }
            return false;
          }
          const found = typeof text === "string" ? text : (text.exec(rest)?.[0] ?? "");
          seen += at + found.length;
          return true;
        },
        { seconds: 20, intervalMilliseconds: 20 },
      ).catch((error: unknown) => {
        throw new Error(`${error instanceof Error ? error.message : ""}; the screen:\n${screen}`, {
          cause: error,
        });
      });
      return screen.slice(0, seen);
    },
    type: (text) => void child.stdin.write(text),
    interrupt: () => void child.stdin.write("\x03"),
    ended,
  };
}
