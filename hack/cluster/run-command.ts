import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";

/** What a finished program said. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** The variables that make kubectl, Helm and the like use this cluster and write nothing outside its folder. */
export function clusterEnvironment(folder: string): Record<string, string> {
  return {
    KUBECONFIG: join(folder, "admin.conf"),
    KUBECACHEDIR: join(folder, "kubectl-cache"),
    PATH: `${join(folder, "bin")}:${process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin"}`,
  };
}

/** Runs a program to its end. */
export function runCommand(
  command: readonly string[],
  options: {
    /** Added to our own. */
    readonly environment?: Readonly<Record<string, string>>;
    /** Text, or the path of a file. */
    readonly input?: string | { readonly file: string };
  } = {},
): Promise<CommandResult> {
  const [program = "", ...args] = command;
  return new Promise((resolve, reject) => {
    const { input = "" } = options;
    const file = typeof input === "string" ? undefined : openSync(input.file, "r");
    const child = spawn(program, args, {
      env: { ...process.env, ...options.environment },
      stdio: [file ?? "pipe", "pipe", "pipe"],
    });
    if (file !== undefined) closeSync(file);
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr?.on("data", (chunk: Buffer) => stderr.push(chunk));
    child.on("error", reject);
    child.on("close", (code) =>
      resolve({
        code: code ?? 1,
        stdout: Buffer.concat(stdout).toString("utf8"),
        stderr: Buffer.concat(stderr).toString("utf8"),
      }),
    );
    // A program that ends without reading its input is its own affair.
    child.stdin?.on("error", () => {});
    child.stdin?.end(input);
  });
}
