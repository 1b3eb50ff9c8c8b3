import type { CommandContext } from "../context.ts";
import type { CommandSpecification } from "./command.ts";
import { findCommand, type FoundCommand } from "./find-command.ts";
import type { FlagSpecification } from "./flag.ts";
import { visibleCommands } from "./help-text.ts";
import { flagsOf } from "./parse-flags.ts";

/** What a shell is to do besides offering the candidates; the numbers are those that completion scripts in the field understand. */
export const Directive = { default: 0, noFiles: 4 } as const;

export interface Candidate {
  readonly value: string;
  readonly description?: string;
}

export interface Completion {
  readonly candidates: readonly Candidate[];
  /** Whether the shell offers names of files. */
  readonly files: boolean;
}

const nothing: Completion = { candidates: [], files: false };

/**
 * What may stand in the place of the last of `words`, which may be empty or the beginning of something. `readContexts` gives the
 * names of a kubeconfig's contexts.
 */
export async function complete(
  program: CommandSpecification,
  context: CommandContext,
  words: readonly string[],
  readContexts: (kubeconfig: string) => Promise<readonly string[]>,
): Promise<Completion> {
  const earlier = words.slice(0, -1);
  const last = words.at(-1) ?? "";
  const found = tryFind(program, context, earlier);
  if (found === undefined) {
    return nothing;
  }
  const flags = flagsOf(found.command, context.environment);
  const state = readState(flags, found.args);
  const contexts = (): Promise<readonly string[]> => readContexts(state.kubeconfig);
  if (state.open !== undefined) {
    return completeValue(state.open, last, "", contexts);
  }
  if (!state.ended && last.startsWith("-")) {
    const [name, value] = splitOnce(last);
    const flag = flags.find((each) => `--${each.name}` === name || `-${each.shorthand}` === name);
    if (value !== undefined && flag !== undefined) {
      return completeValue(flag, value, `${name}=`, contexts);
    }
    return { candidates: flagNames(flags, state.given, last), files: false };
  }
  return completeWord(program, context, found, state.positionals, last);
}

function completeWord(
  program: CommandSpecification,
  context: CommandContext,
  { command }: FoundCommand,
  positionals: readonly string[],
  last: string,
): Completion {
  const parent = command.name === "help" ? tryFind(program, context, positionals)?.command : command;
  const commands =
    positionals.length === 0 || command.name === "help" ? visibleCommands(parent ?? command) : [];
  const choices =
    positionals.length < (command.positional?.maximum ?? 0) ? (command.positional?.choices ?? []) : [];
  const candidates = [
    ...commands.map(({ name, summary }) => ({ value: name, description: summary })),
    ...choices.map((value) => ({ value })),
  ];
  return { candidates: candidates.filter(({ value }) => value.startsWith(last)), files: false };
}

async function completeValue(
  flag: FlagSpecification,
  typed: string,
  prefix: string,
  readContexts: () => Promise<readonly string[]>,
): Promise<Completion> {
  if (flag.completion === "file") {
    return { candidates: [], files: true };
  }
  const values =
    flag.completion === "kubeconfig-context"
      ? await readContexts()
      : (flag.choices ?? (flag.kind === "boolean" ? ["true", "false"] : []));
  const matching = values.filter((value) => value.toLowerCase().startsWith(typed.toLowerCase()));
  return { candidates: matching.map((value) => ({ value: `${prefix}${value}` })), files: false };
}

/** Flags that may still be given; those that take no value in the form that needs none. */
function flagNames(
  flags: readonly FlagSpecification[],
  given: ReadonlySet<string>,
  typed: string,
): readonly Candidate[] {
  return flags
    .filter(
      ({ name, kind, hidden, deprecated }) =>
        hidden !== true && deprecated === undefined && (kind === "list" || !given.has(name)),
    )
    .flatMap(({ name, shorthand, description }) => {
      const text = description.replaceAll("`", "");
      return [`--${name}`, ...(shorthand === undefined ? [] : [`-${shorthand}`])].map((value) => ({
        value,
        description: text,
      }));
    })
    .filter(({ value }) => value.startsWith(typed))
    .toSorted((a, b) => (a.value < b.value ? -1 : 1));
}

interface State {
  /** The flag whose value comes next. */
  readonly open: FlagSpecification | undefined;
  /** Whether `--` was there. */
  readonly ended: boolean;
  readonly given: ReadonlySet<string>;
  readonly positionals: readonly string[];
  /** The value of `--kubeconfig`. */
  readonly kubeconfig: string;
}

/** Reads an unfinished command line: whatever is wrong in it is passed over. */
function readState(flags: readonly FlagSpecification[], args: readonly string[]): State {
  let open: FlagSpecification | undefined;
  let kubeconfig = "";
  const given = new Set<string>();
  const positionals: string[] = [];
  const keep = (flag: FlagSpecification, value: string): void => {
    kubeconfig = flag.name === "kubeconfig" ? value : kubeconfig;
  };
  for (const [index, argument] of args.entries()) {
    if (open !== undefined) {
      keep(open, argument);
      open = undefined;
    } else if (argument === "--") {
      positionals.push(...args.slice(index + 1));
      return { open, ended: true, given, positionals, kubeconfig };
    } else if (argument.startsWith("-") && argument !== "-") {
      const [name, value] = splitOnce(argument);
      const flag = flags.find((each) => `--${each.name}` === name || `-${each.shorthand}` === name);
      if (flag === undefined) {
        continue;
      }
      given.add(flag.name);
      if (value !== undefined) {
        keep(flag, value);
      } else if (flag.kind !== "boolean") {
        open = flag;
      }
    } else {
      positionals.push(argument);
    }
  }
  return { open, ended: false, given, positionals, kubeconfig };
}

function tryFind(
  program: CommandSpecification,
  context: CommandContext,
  words: readonly string[],
): FoundCommand | undefined {
  try {
    return findCommand(program, context.programName, words, context.environment);
  } catch {
    return undefined;
  }
}

function splitOnce(text: string): readonly [string, string?] {
  const at = text.indexOf("=");
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}
