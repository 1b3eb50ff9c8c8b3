import { goQuote } from "../../../go-text.ts";
import { failure, noSuchOverload } from "../errors.ts";
import type { Frame, Implementation } from "../frame.ts";
import {
  CelDuration,
  CelTimestamp,
  CelTypeValue,
  CelUint,
  isInt64,
  isList,
  isMap,
  isUint64,
  typeName,
  type Value,
} from "../values.ts";
import {
  checkedTimestamp,
  formatDuration,
  formatTimestamp,
  parseDuration,
  parseTimestamp,
  splitSeconds,
} from "./time-text.ts";

function notConvertible(value: Value, target: string): Error {
  return failure(`type conversion error from '${typeName(value)}' to '${target}'`);
}

/** The shortest text of a double, as Go's `%g` writes it. */
export function formatDouble(value: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  if (Object.is(value, -0)) return "-0";
  const [mantissa = "", exponent = ""] = value.toExponential().split("e");
  const power = Number(exponent);
  if (value !== 0 && (power < -4 || power >= 6)) {
    return `${mantissa}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  return Math.abs(value) < 1e-6 && value !== 0 ? value.toFixed(20).replace(/0+$/u, "") : String(value);
}

const truths = new Map<string, boolean>([
  ...["1", "t", "T", "true", "TRUE", "True"].map((text): [string, boolean] => [text, true]),
  ...["0", "f", "F", "false", "FALSE", "False"].map((text): [string, boolean] => [text, false]),
]);

function toBool(value: Value): Value {
  if (typeof value === "boolean") return value;
  if (typeof value !== "string") throw noSuchOverload();
  const found = truths.get(value);
  if (found === undefined) throw notConvertible(value, "bool");
  return found;
}

function toBytes(frame: Frame, value: Value): Value {
  if (value instanceof Uint8Array) return value;
  if (typeof value !== "string") throw noSuchOverload();
  frame.spend(value.length);
  return Buffer.from(value, "utf8");
}

const decimalNumber = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/u;
const infinity = /^([+-]?)inf(?:inity)?$/iu;

const hexadecimalNumber = /^([+-]?)0x([0-9a-f]*)(?:\.([0-9a-f]*))?p([+-]?\d{1,5})$/iu;

/** Reads a number as Go's `strconv.ParseFloat` does. */
function parseDouble(written: string): number | undefined {
  const text = written.replaceAll(/(?<=\d)_(?=\d)/gu, "");
  const [, minus, integer = "", fraction = "", exponent] = hexadecimalNumber.exec(text) ?? [];
  if (
    exponent !== undefined &&
    integer.length + fraction.length > 0 &&
    integer.length + fraction.length <= 13
  ) {
    const value = Number.parseInt(integer + fraction, 16) * 2 ** (Number(exponent) - 4 * fraction.length);
    if (!Number.isFinite(value)) return undefined;
    return minus === "-" ? -value : value;
  }
  if (decimalNumber.test(text)) {
    const value = Number(text);
    return Number.isFinite(value) ? value : undefined;
  }
  if (/^nan$/iu.test(text)) return Number.NaN;
  const sign = infinity.exec(text)?.[1];
  return sign === undefined ? undefined : sign === "-" ? -Infinity : Infinity;
}

function toDouble(value: Value): Value {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  if (value instanceof CelUint) return Number(value.value);
  if (typeof value !== "string") throw noSuchOverload();
  const parsed = parseDouble(value);
  if (parsed === undefined) throw notConvertible(value, "double");
  return parsed;
}

function toInt(value: Value): Value {
  if (typeof value === "bigint") return value;
  if (typeof value === "number") {
    if (!(value > -(2 ** 63) && value < 2 ** 63)) throw failure("integer overflow");
    return BigInt(Math.trunc(value));
  }
  if (value instanceof CelUint) {
    if (!isInt64(value.value)) throw failure("integer overflow");
    return value.value;
  }
  if (value instanceof CelTimestamp) return splitSeconds(value.nanoseconds).seconds;
  if (value instanceof CelDuration) return value.nanoseconds;
  if (typeof value !== "string") throw noSuchOverload();
  const parsed = /^[+-]?\d{1,30}$/u.test(value) ? BigInt(value.replace("+", "")) : undefined;
  if (parsed === undefined || !isInt64(parsed)) throw notConvertible(value, "int");
  return parsed;
}

function toUint(value: Value): Value {
  if (value instanceof CelUint) return value;
  if (typeof value === "bigint") {
    if (!isUint64(value)) throw failure("unsigned integer overflow");
    return new CelUint(value);
  }
  if (typeof value === "number") {
    if (!(value >= 0 && value < 2 ** 64)) throw failure("unsigned integer overflow");
    return new CelUint(BigInt(Math.trunc(value)));
  }
  if (typeof value !== "string") throw noSuchOverload();
  const parsed = /^\d{1,30}$/u.test(value) ? BigInt(value) : undefined;
  if (parsed === undefined || !isUint64(parsed)) throw notConvertible(value, "uint");
  return new CelUint(parsed);
}

/** The text of a value, or undefined when it has none. */
export function stringOf(value: Value): string | undefined {
  switch (typeof value) {
    case "string":
      return value;
    case "bigint":
    case "boolean":
      return String(value);
    case "number":
      return formatDouble(value);
    default:
      if (value instanceof CelUint) return value.value.toString();
      if (value instanceof CelTimestamp) return formatTimestamp(value);
      if (value instanceof CelDuration) return formatDuration(value);
      if (value instanceof CelTypeValue) return value.name;
      if (!(value instanceof Uint8Array)) return undefined;
      try {
        return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value);
      } catch {
        throw failure("invalid UTF-8 in bytes, cannot convert to string");
      }
  }
}

function toText(value: Value): Value {
  const text = value instanceof CelTypeValue ? undefined : stringOf(value);
  if (text === undefined) throw noSuchOverload();
  return text;
}

/** RFC 3339's grammar with the month and day in range; the calendar is looked at later. */
const strictTimestamp =
  /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[Tt](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/u;

function toTimestamp(value: Value): Value {
  if (value instanceof CelTimestamp) return value;
  if (typeof value === "bigint") return checkedTimestamp(value * 1_000_000_000n);
  if (typeof value !== "string") throw noSuchOverload();
  if (!strictTimestamp.test(value)) throw failure(`invalid RFC 3339 timestamp ${goQuote(value)}`);
  const parsed = parseTimestamp(value);
  if (parsed === undefined) throw notConvertible(value, "google.protobuf.Timestamp");
  return parsed;
}

function toDuration(value: Value): Value {
  if (value instanceof CelDuration) return value;
  if (typeof value !== "string") throw noSuchOverload();
  const parsed = parseDuration(value);
  if (parsed === undefined) throw notConvertible(value, "google.protobuf.Duration");
  return parsed;
}

/** Code points of a text. */
export function codePointLength(text: string): number {
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0xdc00 || unit > 0xdfff) length++;
  }
  return length;
}

function sizeOf(value: Value): Value {
  if (typeof value === "string") return BigInt(codePointLength(value));
  if (value instanceof Uint8Array || (value !== null && isList(value))) return BigInt(value.length);
  if (isMap(value)) return BigInt(value.size);
  if (value instanceof CelTimestamp || value instanceof CelDuration) throw noSuchOverload();
  throw failure("no such overload: size");
}

/** Conversions that a constant argument decides while the program is built. */
export const constantConversions: ReadonlySet<string> = new Set([
  "bool",
  "bytes",
  "double",
  "duration",
  "dyn",
  "int",
  "string",
  "timestamp",
  "type",
  "uint",
]);

export const conversions: Readonly<Record<string, Implementation>> = {
  bool: (_frame, a) => toBool(a),
  bytes: toBytes,
  double: (_frame, a) => toDouble(a),
  duration: (_frame, a) => toDuration(a),
  dyn: (_frame, a) => a,
  int: (_frame, a) => toInt(a),
  size: (_frame, a) => sizeOf(a),
  string: (_frame, a) => toText(a),
  timestamp: (_frame, a) => toTimestamp(a),
  type: (_frame, a) => new CelTypeValue(typeName(a)),
  uint: (_frame, a) => toUint(a),
};
