import { CommandError } from "../command-error.ts";
import { messageOf } from "../../errors.ts";
import type { CommandSpecification } from "./command.ts";
import type { FlagKind, FlagSpecification, ParsedFlags } from "./flag.ts";
import { emptyFlagValue, type FlagValue, parseFlagValue } from "./flag-value.ts";
import { goQuote } from "../../go-text.ts";

/** Every flag of a command, `--help` included. */
export function flagsOf(
  command: CommandSpecification,
  environment: Readonly<Record<string, string | undefined>>,
): readonly FlagSpecification[] {
  return [
    ...(command.flags?.(environment) ?? []),
    { name: "help", shorthand: "h", kind: "boolean", description: `help for ${command.name}` },
  ];
}

/** The arguments behind a command's name, taken apart. */
export interface CommandLine {
  readonly flags: ParsedFlags;
  /** What is no flag, in its order. */
  readonly positionals: readonly string[];
  /** Lines for stderr about deprecated flags. */
  readonly notices: readonly string[];
}

/**
 * Takes arguments apart as the existing CLI does (contract cli.md 1): `--f v`, `--f=v`, `-f v`, `-fv`, `-f=v`, several one-letter
 * booleans together, flags between positionals, `--` ends them. A list's first use replaces its default, later ones add to it.
 * Required flags are not looked for: see `requireFlags`.
 */
export function parseFlags(
  specifications: readonly FlagSpecification[],
  args: readonly string[],
): CommandLine {
  const byName = new Map(specifications.map((flag) => [flag.name, flag]));
  const values = new Map<string, FlagValue>();
  const notices: string[] = [];
  const positionals: string[] = [];

  const set = (flag: FlagSpecification, text: string): void => {
    const value = readValue(flag, text);
    const earlier = values.get(flag.name);
    values.set(
      flag.name,
      flag.kind === "list" && earlier !== undefined
        ? [...(earlier as string[]), ...(value as string[])]
        : value,
    );
    if (flag.deprecated !== undefined) {
      notices.push(`Flag --${flag.name} has been deprecated, ${flag.deprecated}`);
    }
  };

  let rest = [...args];
  for (;;) {
    const argument = rest.shift();
    if (argument === undefined) {
      break;
    }
    if (argument === "--") {
      positionals.push(...rest);
      break;
    }
    if (argument.startsWith("--")) {
      rest = readLong(argument, rest, byName, set);
    } else if (argument.startsWith("-") && argument !== "-") {
      rest = readShort(argument, rest, specifications, set);
    } else {
      positionals.push(argument);
    }
  }
  return { flags: createParsedFlags(byName, values), positionals, notices };
}

/** Refuses a command line that lacks required flags. */
export function requireFlags(specifications: readonly FlagSpecification[], flags: ParsedFlags): void {
  const missing = specifications
    .filter((flag) => flag.required === true && !flags.given(flag.name))
    .map((flag) => `"${flag.name}"`)
    .toSorted();
  if (missing.length > 0) {
    throw new CommandError("cli.flag-required", `required flag(s) ${missing.join(", ")} not set`);
  }
}

function readLong(
  argument: string,
  rest: string[],
  byName: ReadonlyMap<string, FlagSpecification>,
  set: (flag: FlagSpecification, text: string) => void,
): string[] {
  const [name, given] = splitOnce(argument.slice(2), "=");
  if (name === "" || name.startsWith("-")) {
    throw new CommandError("cli.flag-syntax", `bad flag syntax: ${argument}`);
  }
  const flag = byName.get(name);
  if (flag === undefined) {
    throw new CommandError("cli.flag-unknown", `unknown flag: --${name}`);
  }
  if (given !== undefined || flag.kind === "boolean") {
    set(flag, given ?? "true");
    return rest;
  }
  const [next, ...others] = rest;
  if (next === undefined) {
    throw new CommandError("cli.flag-argument", `flag needs an argument: ${argument}`);
  }
  set(flag, next);
  return others;
}

function readShort(
  argument: string,
  rest: string[],
  specifications: readonly FlagSpecification[],
  set: (flag: FlagSpecification, text: string) => void,
): string[] {
  let letters = argument.slice(1);
  while (letters !== "") {
    const letter = letters.slice(0, 1);
    const flag = specifications.find(({ shorthand }) => shorthand === letter);
    if (flag === undefined) {
      throw new CommandError("cli.flag-unknown", `unknown shorthand flag: '${letter}' in -${letters}`);
    }
    if (letters.length > 2 && letters[1] === "=") {
      set(flag, letters.slice(2));
      return rest;
    }
    if (flag.kind === "boolean") {
      set(flag, "true");
      letters = letters.slice(1);
      continue;
    }
    if (letters.length > 1) {
      set(flag, letters.slice(1));
      return rest;
    }
    const [next, ...others] = rest;
    if (next === undefined) {
      throw new CommandError("cli.flag-argument", `flag needs an argument: '${letter}' in -${letters}`);
    }
    set(flag, next);
    return others;
  }
  return rest;
}

function readValue(flag: FlagSpecification, text: string): FlagValue {
  try {
    return parseFlagValue(flag.kind, text);
  } catch (error) {
    const name = flag.shorthand === undefined ? `--${flag.name}` : `-${flag.shorthand}, --${flag.name}`;
    const reason = messageOf(error);
    throw new CommandError(
      "cli.flag-value",
      `invalid argument ${goQuote(text)} for ${goQuote(name)} flag: ${reason}`,
      error,
    );
  }
}

function createParsedFlags(
  specifications: ReadonlyMap<string, FlagSpecification>,
  values: ReadonlyMap<string, FlagValue>,
): ParsedFlags {
  const read = (name: string, kind: FlagKind): FlagValue => {
    const flag = specifications.get(name);
    if (flag?.kind !== kind) {
      throw new TypeError(`there is no ${kind} flag --${name}`);
    }
    const value = values.get(name);
    if (value !== undefined) {
      return value;
    }
    return flag.defaultValue === undefined ? emptyFlagValue(kind) : parseFlagValue(kind, flag.defaultValue);
  };
  return {
    string: (name) => read(name, "string") as string,
    boolean: (name) => read(name, "boolean") as boolean,
    list: (name) => read(name, "list") as readonly string[],
    port: (name) => read(name, "port") as number,
    duration: (name) => read(name, "duration") as number,
    given: (name) => {
      if (!specifications.has(name)) {
        throw new TypeError(`there is no flag --${name}`);
      }
      return values.has(name);
    },
  };
}

function splitOnce(text: string, separator: string): readonly [string, string?] {
  const at = text.indexOf(separator);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + separator.length)];
}
