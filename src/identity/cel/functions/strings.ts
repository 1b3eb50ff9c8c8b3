import { failure, noSuchOverload } from "../errors.ts";
import type { Frame, Implementation } from "../frame.ts";
import { isList, plainText, type Value } from "../values.ts";
import { codePointLength } from "./conversions.ts";

function text(value: Value): string {
  if (typeof value !== "string") throw noSuchOverload();
  return value;
}

function integer(value: Value): number {
  if (typeof value !== "bigint") throw noSuchOverload();
  return Number(value);
}

/** Text in which every index is a code point: itself unless it has surrogates. */
function points(value: string): string | readonly string[] {
  return /[\ud800-\udfff]/u.test(value) || /[\u{10000}-\u{10ffff}]/u.test(value) ? Array.from(value) : value;
}

function slice(characters: string | readonly string[], start: number, end?: number): string {
  return typeof characters === "string"
    ? characters.slice(start, end)
    : characters.slice(start, end).join("");
}

function charAt(value: string, index: Value): string {
  const characters = points(value);
  const at = integer(index);
  if (at < 0 || at > characters.length) throw failure(`index out of range: ${plainText(index)}`);
  return characters[at] ?? "";
}

function substring(value: string, start: Value, end: Value | undefined): string {
  const characters = points(value);
  const from = integer(start);
  const to = end === undefined ? characters.length : integer(end);
  if (end !== undefined && from > to)
    throw failure(`invalid substring range. start: ${plainText(start)}, end: ${plainText(end)}`);
  if (from < 0 || from > characters.length) throw failure(`index out of range: ${plainText(start)}`);
  if (to < 0 || to > characters.length) throw failure(`index out of range: ${plainText(end)}`);
  return slice(characters, from, to);
}

/** The code point index that belongs to a UTF-16 index. */
function pointIndex(value: string, unit: number): bigint {
  return unit < 0 ? -1n : BigInt(codePointLength(value.slice(0, unit)));
}

/** The UTF-16 index that belongs to a code point index. */
function unitIndex(value: string, point: number): number {
  return slice(points(value), 0, point).length;
}

/** Where `part` first is at or after a code point index. */
export function indexOf(value: string, part: Value, offset: Value | undefined): bigint {
  const wanted = text(part);
  const from = offset === undefined ? 0 : integer(offset);
  if (from < 0) throw failure(`index out of range: ${plainText(offset)}`);
  if (wanted === "") return BigInt(Math.min(from, codePointLength(value)));
  return pointIndex(value, value.indexOf(wanted, unitIndex(value, from)));
}

/** Where `part` last is at or before a code point index. */
export function lastIndexOf(value: string, part: Value, offset: Value | undefined): bigint {
  const wanted = text(part);
  const length = codePointLength(value);
  const from = offset === undefined ? length : integer(offset);
  if (from < 0) throw failure(`index out of range: ${plainText(offset)}`);
  if (wanted === "") return BigInt(Math.min(from, length));
  if (offset === undefined) return pointIndex(value, value.lastIndexOf(wanted));
  if (from >= length) return -1n;
  return pointIndex(value, value.lastIndexOf(wanted, unitIndex(value, from)));
}

function replace(frame: Frame, value: string, before: string, after: string, limit: number): string {
  if (limit === 0 || before === after) return value;
  // An empty text is found before every character and at the end.
  const parts = before === "" ? ["", ...Array.from(value)] : value.split(before);
  const count = before === "" ? parts.length : parts.length - 1;
  const replaced = limit < 0 ? count : Math.min(limit, count);
  frame.spend(value.length + replaced * after.length);
  if (before === "") return parts.map((part, index) => (index < replaced ? part + after : part)).join("");
  const head = parts.slice(0, replaced);
  return replaced === 0 ? value : `${head.join(after)}${after}${parts.slice(replaced).join(before)}`;
}

function split(frame: Frame, value: string, separator: string, limit: number): readonly string[] {
  frame.spend(value.length);
  if (limit === 0) return [];
  const parts = separator === "" ? Array.from(value) : value.split(separator);
  if (limit < 0 || parts.length <= limit) return parts;
  return [...parts.slice(0, limit - 1), parts.slice(limit - 1).join(separator)];
}

function join(frame: Frame, list: Value, separator: string): string {
  if (list === null || !isList(list)) throw noSuchOverload();
  let size = 0;
  for (const item of list) {
    // As in cel-go the first element speaks for the list's type.
    if (typeof item !== "string")
      throw typeof list[0] === "string"
        ? failure(`join: invalid input: ${item === null ? "0" : plainText(item)}`)
        : noSuchOverload();
    size += item.length + separator.length;
  }
  frame.spend(size);
  return list.map(text).join(separator);
}

const quoted: Readonly<Record<string, string>> = {
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
  "\\": "\\\\",
  '"': '\\"',
};

/** A text between double quotes with CEL's escapes. */
export function quote(value: string): string {
  return `"${value.toWellFormed().replaceAll(/[\x07\b\f\n\r\t\v\\"]/gu, (character) => quoted[character] ?? character)}"`;
}

/** Unicode's White_Space, which is what Go trims. */
const blanks =
  /^[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+|[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/gu;

function ofText(change: (frame: Frame, value: string) => Value): Implementation {
  return (frame, a) => {
    const value = text(a);
    frame.spend(value.length);
    return change(frame, value);
  };
}

export const strings: Readonly<Record<string, Implementation>> = {
  contains: (_frame, a, b) => text(a).includes(text(b)),
  startsWith: (_frame, a, b) => text(a).startsWith(text(b)),
  endsWith: (_frame, a, b) => text(a).endsWith(text(b)),
  charAt: (_frame, a, b) => charAt(text(a), b),
  substring: (_frame, a, b, c: Value | undefined) => substring(text(a), b, c),
  // Only ASCII letters change: U+212A (Kelvin sign) is not k.
  lowerAscii: ofText((_frame, value) => value.replaceAll(/[A-Z]+/gu, (letters) => letters.toLowerCase())),
  upperAscii: ofText((_frame, value) => value.replaceAll(/[a-z]+/gu, (letters) => letters.toUpperCase())),
  trim: ofText((_frame, value) => value.replaceAll(blanks, "")),
  reverse: ofText((_frame, value) => Array.from(value).toReversed().join("")),
  "strings.quote": ofText((_frame, value) => quote(value)),
  replace: (frame, a, b, c, d: Value | undefined) =>
    replace(frame, text(a), text(b), text(c), d === undefined ? -1 : integer(d)),
  split: (frame, a, b, c: Value | undefined) =>
    split(frame, text(a), text(b), c === undefined ? -1 : integer(c)),
  join: (frame, a, b: Value | undefined) => join(frame, a, b === undefined ? "" : text(b)),
};
