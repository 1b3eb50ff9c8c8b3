import type { FlagKind } from "./flag.ts";
import { goQuote } from "../../go-text.ts";
import { parseCommaSeparated } from "./comma-separated.ts";
import { parseDuration } from "./duration.ts";

export type FlagValue = string | boolean | readonly string[] | number;

const TRUE = new Set(["1", "t", "T", "true", "TRUE", "True"]);
const FALSE = new Set(["0", "f", "F", "false", "FALSE", "False"]);
/** Go's literals of whole numbers, with its prefixes and underscores. */
const WHOLE_NUMBER = /^(?:0[xX](?:_?[\da-fA-F])+|0[bB](?:_?[01])+|0[oO]?(?:_?[0-7])+|0|[1-9](?:_?\d)*)$/;
const MAXIMUM_PORT = 65_535n;

const READERS: Readonly<Record<FlagKind, (text: string) => FlagValue>> = {
  string: (text) => text,
  boolean: parseBoolean,
  list: parseCommaSeparated,
  port: parsePort,
  duration: parseDuration,
};

/** What stands on a command line, read as `kind` demands; the message of what is thrown is the reason that Go's `strconv`, `time` or `encoding/csv` give. */
export function parseFlagValue(kind: FlagKind, text: string): FlagValue {
  return READERS[kind](text);
}

/** The value of a flag that is not given and declares no default. */
export function emptyFlagValue(kind: FlagKind): FlagValue {
  return { string: "", boolean: false, list: [], port: 0, duration: 0 }[kind];
}

function parseBoolean(text: string): boolean {
  if (!TRUE.has(text) && !FALSE.has(text)) {
    throw new SyntaxError(`strconv.ParseBool: parsing ${goQuote(text)}: invalid syntax`);
  }
  return TRUE.has(text);
}

function parsePort(text: string): number {
  if (!WHOLE_NUMBER.test(text)) {
    throw new SyntaxError(`strconv.ParseUint: parsing ${goQuote(text)}: invalid syntax`);
  }
  const digits = text.replaceAll("_", "");
  const value = BigInt(/^0\d/.test(digits) ? `0o${digits.slice(1)}` : digits);
  if (value > MAXIMUM_PORT) {
    throw new RangeError(`strconv.ParseUint: parsing ${goQuote(text)}: value out of range`);
  }
  return Number(value);
}
