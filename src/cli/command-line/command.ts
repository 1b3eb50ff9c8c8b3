import type { CommandContext } from "../context.ts";
import type { FlagSpecification, ParsedFlags } from "./flag.ts";

/** What a file under commands/ exports as `run`. Throws `CommandError`. */
export type RunCommand = (
  context: CommandContext,
  flags: ParsedFlags,
  args: readonly string[],
) => Promise<void>;

/** A node of the tree of commands, as data; its code is loaded when it runs. */
export interface CommandSpecification {
  readonly name: string;
  readonly summary: string;
  readonly description?: string;
  readonly examples?: string;
  readonly hidden?: boolean;
  /** Its arguments are not taken apart: all of them are positionals, also those that look like flags. */
  readonly rawArguments?: boolean;
  /** Depends on the environment for defaults such as `$KUBECONFIG`. */
  readonly flags?: (
    environment: Readonly<Record<string, string | undefined>>,
  ) => readonly FlagSpecification[];
  /** Positional arguments it takes, for its usage line; absent: none. */
  readonly positional?: {
    readonly usage: string;
    readonly choices?: readonly string[];
    readonly maximum: number;
  };
  readonly commands?: readonly CommandSpecification[];
  /** Absent: a group that prints its help. */
  readonly load?: () => Promise<{ readonly run: RunCommand }>;
}
