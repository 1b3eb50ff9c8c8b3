import type { Clock } from "../clock.ts";
import type { CommandLog } from "./log.ts";

/** A stream of the process that a command writes to. */
export interface TextOutput {
  write(text: string): void;
  /** Whether a person sees it. */
  readonly isTerminal: boolean;
}

/** What the process gives to a command; nothing under src/cli reads the process itself but `main.ts`. */
export interface CommandContext {
  /** Every argument after the program's name, as typed: they are part of the credential cache's key (contract cli.md 7). */
  readonly args: readonly string[];
  /** The base name of the program, `lanyard` or what it was started as. */
  readonly programName: string;
  /** Absolute path under which this program can be started again; the default `command` of a kubeconfig (contract cli.md 2.1). */
  readonly executablePath: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
  /** The home folder, or undefined where the user has none. */
  readonly homeFolder: string | undefined;
  readonly stdout: TextOutput;
  readonly stderr: TextOutput;
  /** Whether somebody can type. */
  readonly stdinIsTerminal: boolean;
  readonly clock: Clock;
  readonly log: CommandLog;
  /** Aborts on SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  /** Who runs this process, where the platform has numbers for users: files of others are not believed (S23). */
  readonly userId?: number | undefined;
  /** Who started this process: the client that asks for a credential (contract cli.md 13.3 rule 7). */
  readonly parentProcessId?: number | undefined;
}
