import { compare, isEqual } from "../comparison.ts";
import { failure, noSuchOverload } from "../errors.ts";
import type { Frame, Implementation } from "../frame.ts";
import {
  CelDuration,
  CelOptional,
  CelUint,
  isList,
  isMap,
  none,
  CelTimestamp,
  typeName,
  type Value,
} from "../values.ts";
import { add } from "./operators.ts";
import { indexOf as indexOfText, lastIndexOf as lastIndexOfText } from "./strings.ts";

function list(frame: Frame, value: Value): readonly Value[] {
  if (value === null || !isList(value)) throw noSuchOverload();
  frame.spend(value.length >> 4);
  return value;
}

/** A list that is searched from its end or start; only texts are searched from elsewhere. */
function elements(frame: Frame, value: Value, offset: Value | undefined): readonly Value[] {
  if (offset !== undefined) throw noSuchOverload();
  return list(frame, value);
}

const sums: ReadonlySet<string> = new Set(["int", "uint", "double", "google.protobuf.Duration"]);
const comparables: ReadonlySet<string> = new Set([
  ...sums,
  "bool",
  "google.protobuf.Timestamp",
  "string",
  "bytes",
]);

/** The elements of a list of one of the types; as in cel-go the first one speaks for all. */
function listOf(frame: Frame, value: Value, name: string, types: ReadonlySet<string>): readonly Value[] {
  const [first] = value !== null && isList(value) ? value : [null];
  if (first !== undefined && !types.has(typeName(first)))
    throw failure(`no such overload: ${name}(${typeName(value)})`);
  return list(frame, value);
}

/** The order of two elements; elements that can be ordered, but not with one another, have none. */
function order(a: Value, b: Value): number | undefined {
  if (!comparables.has(typeName(b))) throw noSuchOverload();
  try {
    return compare(a, b);
  } catch {
    return undefined;
  }
}

function isSorted(frame: Frame, value: Value): boolean {
  let previous: Value | undefined;
  for (const item of listOf(frame, value, "isSorted", comparables)) {
    if (previous !== undefined && order(previous, item) === 1) return false;
    previous = item;
  }
  return true;
}

function extreme(name: string, replaces: number): Implementation {
  return (frame, value) => {
    let best: Value | undefined;
    for (const item of listOf(frame, value, name, comparables)) {
      if (best === undefined || order(best, item) === replaces) best = item;
    }
    if (best === undefined) throw failure(`${name} called on empty list`);
    return best;
  };
}

function sum(frame: Frame, value: Value): Value {
  const [first, ...rest] = listOf(frame, value, "sum", sums);
  if (first === undefined) return 0n;
  return rest.reduce((total, item) => add(frame, total, item), first);
}

/** The start of the year 1, which Go takes for no time at all. */
const zeroTime = -62_135_596_800_000_000_000n;

function isZero(value: Value): boolean {
  if (value === null || value === false || value === 0n || value === 0 || value === "") return true;
  if (typeof value !== "object") return false;
  if (value instanceof CelUint) return value.value === 0n;
  if (value instanceof CelDuration) return value.nanoseconds === 0n;
  if (value instanceof CelTimestamp) return value.nanoseconds === zeroTime;
  if (isList(value) || value instanceof Uint8Array) return value.length === 0;
  return isMap(value) && value.size === 0;
}

function optional(value: Value): CelOptional {
  if (!(value instanceof CelOptional)) throw noSuchOverload();
  return value;
}

export const lists: Readonly<Record<string, Implementation>> = {
  isSorted,
  sum,
  max: extreme("max", -1),
  min: extreme("min", 1),
  indexOf: (frame, a, b, c: Value | undefined) =>
    typeof a === "string"
      ? indexOfText(a, b, c)
      : BigInt(elements(frame, a, c).findIndex((item) => isEqual(item, b))),
  lastIndexOf: (frame, a, b, c: Value | undefined) =>
    typeof a === "string"
      ? lastIndexOfText(a, b, c)
      : BigInt(elements(frame, a, c).findLastIndex((item) => isEqual(item, b))),
};

export const optionals: Readonly<Record<string, Implementation>> = {
  "optional.of": (_frame, a) => new CelOptional(a),
  "optional.none": () => none,
  "optional.ofNonZeroValue": (_frame, a) => (isZero(a) ? none : new CelOptional(a)),
  hasValue: (_frame, a) => optional(a).value !== undefined,
  value: (_frame, a) => {
    const { value } = optional(a);
    if (value === undefined) throw failure("optional.none() dereference");
    return value;
  },
};
