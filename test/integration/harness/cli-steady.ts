import { spawn } from "node:child_process";
import { ensureClientGo } from "../../client-go/client-go.ts";
import { type Person, resultOf } from "./cli.ts";
import { succeeded } from "./cli-world.ts";

/** What a program built on client-go saw that asks once a second, in one process, and repeats nothing. */
export interface SteadyReport {
  readonly requests: number;
  readonly failures: readonly { readonly second: number; readonly code: number; readonly error: string }[];
  readonly slowestMilliseconds: number;
  /** What it and the plugin wrote to stderr. */
  readonly stderr: string;
}

/** Asks with a kubeconfig for so many seconds. */
export async function askSteadily(
  person: Person,
  kubeconfig: string,
  seconds: number,
): Promise<SteadyReport> {
  const child = spawn(
    await ensureClientGo(),
    [`-kubeconfig=${kubeconfig}`, `-seconds=${seconds}`, "steady"],
    { cwd: person.home, env: person.environment, stdio: ["ignore", "pipe", "pipe"] },
  );
  const { stdout, stderr } = succeeded(await resultOf(child));
  return { ...(JSON.parse(stdout) as Omit<SteadyReport, "stderr">), stderr };
}
