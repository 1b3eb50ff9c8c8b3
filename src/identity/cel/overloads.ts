import type { CelType } from "./cel.ts";
import { listOf, mapOf, optionalOf, type Type } from "./types.ts";

/** One way to call a function; `receiver` when the first parameter stands before the dot. */
export interface Overload {
  readonly receiver: boolean;
  readonly parameters: readonly Type[];
  readonly result: Type;
  /** Names of the type parameters used. */
  readonly generics: readonly string[];
}

const comparable = ["bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration"];
/** The same in the order of Kubernetes' list library: an empty list takes the first. */
const comparableElements = ["int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes"];
const ordered = [
  ...comparable.map((type) => `${type}, ${type}`),
  "int, double",
  "int, uint",
  "uint, double",
  "uint, int",
  "double, int",
  "double, uint",
];
const fields = [
  "FullYear",
  "Month",
  "DayOfYear",
  "DayOfMonth",
  "Date",
  "DayOfWeek",
  "Hours",
  "Minutes",
  "Seconds",
  "Milliseconds",
];
const spanFields = ["Hours", "Minutes", "Seconds", "Milliseconds"];

function same(name: string, types: string): readonly string[] {
  return types.split(" ").map((type) => `${name}(${type}, ${type}): ${type}`);
}

function conversions(target: string, from: string, result = target): readonly string[] {
  return from.split(" ").map((type) => `${target}(${type}): ${result}`);
}

/** The functions of the CEL standard, ext.Strings, optional types and Kubernetes' lists and regex libraries, as `name(receiver.arguments): result`. */
const signatures: readonly string[] = [
  "_?_:_(bool, A, A): A",
  "_&&_(bool, bool): bool",
  "_||_(bool, bool): bool",
  "!_(bool): bool",
  "_==_(A, A): bool",
  "_!=_(A, A): bool",
  ...same("_+_", "bytes double duration int list(A) string uint"),
  "_+_(duration, timestamp): timestamp",
  "_+_(timestamp, duration): timestamp",
  ...same("_-_", "double duration int uint"),
  "_-_(timestamp, duration): timestamp",
  "_-_(timestamp, timestamp): duration",
  ...same("_*_", "double int uint"),
  ...same("_/_", "double int uint"),
  ...same("_%_", "int uint"),
  "-_(double): double",
  "-_(int): int",
  ...["<", "<=", ">", ">="].flatMap((symbol) => ordered.map((pair) => `_${symbol}_(${pair}): bool`)),
  "_[_](list(A), int): A",
  "_[_](map(A, B), A): B",
  "_[_](optional(list(B)), int): optional(B)",
  "_[_](optional(map(A, B)), A): optional(B)",
  "_[?_](list(B), int): optional(B)",
  "_[?_](optional(list(B)), int): optional(B)",
  "_[?_](map(A, B), A): optional(B)",
  "_[?_](optional(map(A, B)), A): optional(B)",
  "@in(A, list(A)): bool",
  "@in(A, map(A, B)): bool",
  ...["bytes", "list(A)", "map(A, B)", "string"].flatMap((type) => [
    `size(${type}): int`,
    `size(${type}.): int`,
  ]),
  "type(A): type(A)",
  "dyn(A): dyn",
  ...conversions("bool", "bool string"),
  ...conversions("bytes", "bytes string"),
  ...conversions("double", "double int string uint"),
  ...conversions("duration", "duration string"),
  ...conversions("int", "int double duration string timestamp uint"),
  ...conversions("string", "string bool bytes double duration int timestamp uint"),
  ...conversions("timestamp", "timestamp int string"),
  ...conversions("uint", "uint double int string"),
  "contains(string.string): bool",
  "endsWith(string.string): bool",
  "startsWith(string.string): bool",
  "matches(string, string): bool",
  "matches(string.string): bool",
  ...fields.flatMap((field) => [`get${field}(timestamp.): int`, `get${field}(timestamp.string): int`]),
  ...spanFields.map((field) => `get${field}(duration.): int`),

  "charAt(string.int): string",
  "indexOf(string.string): int",
  "indexOf(string.string, int): int",
  "lastIndexOf(string.string): int",
  "lastIndexOf(string.string, int): int",
  "lowerAscii(string.): string",
  "upperAscii(string.): string",
  "replace(string.string, string): string",
  "replace(string.string, string, int): string",
  "split(string.string): list(string)",
  "split(string.string, int): list(string)",
  "substring(string.int): string",
  "substring(string.int, int): string",
  "trim(string.): string",
  "reverse(string.): string",
  "format(string.list(dyn)): string",
  "strings.quote(string): string",
  "join(list(string).): string",
  "join(list(string).string): string",

  "optional.of(B): optional(B)",
  "optional.ofNonZeroValue(B): optional(B)",
  "optional.none(): optional(B)",
  "value(optional(B).): B",
  "hasValue(optional(B).): bool",
  "or(optional(B).optional(B)): optional(B)",
  "orValue(optional(B).B): B",
  "_?._(dyn, string): optional(B)",

  ...comparableElements.map((type) => `isSorted(list(${type}).): bool`),
  ...["int", "uint", "double", "duration"].map((type) => `sum(list(${type}).): ${type}`),
  ...comparableElements.map((type) => `max(list(${type}).): ${type}`),
  ...comparableElements.map((type) => `min(list(${type}).): ${type}`),
  "indexOf(list(A).A): int",
  "lastIndexOf(list(A).A): int",
  "find(string.string): string",
  "findAll(string.string): list(string)",
  "findAll(string.string, int): list(string)",
];

/** Splits at commas outside of parentheses. */
function splitTypes(text: string): readonly string[] {
  const parts: string[] = [];
  let depth = 0;
  let current = "";
  for (const character of text) {
    if (character === "(") depth++;
    if (character === ")") depth--;
    if (character === "," && depth === 0) {
      parts.push(current.trim());
      current = "";
    } else current += character;
  }
  if (current.trim() !== "") parts.push(current.trim());
  return parts;
}

function readType(text: string): Type {
  const [, name = text, inside] = /^(\w+)\((.*)\)$/u.exec(text) ?? [];
  const parts = inside === undefined ? [] : splitTypes(inside).map(readType);
  const [first, second] = parts;
  if (/^[A-Z]$/u.test(name)) return { kind: "parameter", name };
  if (name === "list" && first !== undefined) return listOf(first);
  if (name === "map" && first !== undefined && second !== undefined) return mapOf(first, second);
  if (name === "optional" && first !== undefined) return optionalOf(first);
  if (name === "type" && first !== undefined) return { kind: "type", of: first };
  return { kind: name } as CelType & { readonly kind: "dyn" };
}

function readSignature(signature: string): readonly [name: string, overload: Overload] {
  const colon = signature.lastIndexOf(": ");
  const call = signature.slice(0, colon);
  const open = call.indexOf("(");
  const name = call.slice(0, open);
  const inside = call.slice(open + 1, -1);
  const dot = inside.indexOf(".");
  const receiver = dot >= 0;
  const parameters = receiver
    ? [inside.slice(0, dot), ...splitTypes(inside.slice(dot + 1))]
    : splitTypes(inside);
  return [
    name,
    {
      receiver,
      parameters: parameters.map(readType),
      result: readType(signature.slice(colon + 2)),
      generics: [...new Set(signature.slice(open).match(/\b[A-Z]\b/gu))],
    },
  ];
}

/** Every offered function with its overloads. */
export const overloads: ReadonlyMap<string, readonly Overload[]> = Map.groupBy(
  signatures.map(readSignature),
  ([name]) => name,
)
  .entries()
  .reduce(
    (all, [name, found]) =>
      all.set(
        name,
        found.map(([, overload]) => overload),
      ),
    new Map<string, readonly Overload[]>(),
  );

/** Names of types that are values themselves. */
export const typeNames: ReadonlyMap<string, Type> = new Map<string, Type>([
  ...["bool", "int", "uint", "double", "string", "bytes", "null_type"].map((name): [string, Type] => [
    name,
    { kind: "type", of: readType(name) },
  ]),
  ["list", { kind: "type", of: listOf({ kind: "parameter", name: "A" }) }],
  ["map", { kind: "type", of: mapOf({ kind: "parameter", name: "A" }, { kind: "parameter", name: "B" }) }],
  ["type", { kind: "type", of: { kind: "type" } }],
  ["optional_type", { kind: "type", of: optionalOf({ kind: "parameter", name: "B" }) }],
  ["google.protobuf.Timestamp", { kind: "type", of: { kind: "timestamp" } }],
  ["google.protobuf.Duration", { kind: "type", of: { kind: "duration" } }],
]);
