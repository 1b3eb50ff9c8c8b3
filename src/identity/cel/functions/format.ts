import { failure, noSuchOverload } from "../errors.ts";
import type { Frame, Implementation } from "../frame.ts";
import { parseFormat, type Clause } from "./format-clauses.ts";
import { formatDuration, formatTimestamp } from "./time-text.ts";
import {
  CelDuration,
  CelTimestamp,
  CelTypeValue,
  CelUint,
  isList,
  isMap,
  typeName,
  type Value,
} from "../values.ts";

function unsupported(clause: Clause, value: Value): Error {
  return failure(`error during formatting: ${clause.refusal}, was given ${typeName(value)}`);
}

/** A double without an exponent and with as many digits as needed. */
function plainDouble(value: number): string {
  const [mantissa = "", exponent] = String(value).split("e");
  if (exponent === undefined) return Object.is(value, -0) ? "-0" : mantissa;
  const negative = mantissa.startsWith("-");
  const digits = mantissa.replace(/[-.]/gu, "");
  const power = Number(exponent);
  const text = power < 0 ? `0.${"0".repeat(-power - 1)}${digits}` : digits.padEnd(power + 1, "0");
  return negative ? `-${text}` : text;
}

function special(value: number): string | undefined {
  if (Number.isNaN(value)) return "NaN";
  if (Number.isFinite(value)) return undefined;
  return value > 0 ? "Infinity" : "-Infinity";
}

function asString(clause: Clause, value: Value): string {
  switch (typeof value) {
    case "string":
      return value;
    case "boolean":
    case "bigint":
      return String(value);
    case "number":
      return special(value) ?? plainDouble(value);
    default:
      if (value === null) return "null";
      if (value instanceof CelUint) return value.value.toString();
      if (value instanceof Uint8Array) return Buffer.from(value).toString("utf8");
      if (value instanceof CelTimestamp) return formatTimestamp(value);
      if (value instanceof CelDuration) return formatDuration(value);
      if (value instanceof CelTypeValue) return value.name;
      if (isList(value)) return `[${value.map((item) => asString(clause, item)).join(", ")}]`;
      if (!isMap(value)) throw unsupported(clause, value);
      return asMap(
        value.keys().map((key) => [asString(clause, key), asString(clause, value.get(key) ?? null)]),
      );
  }
}

function asMap(entries: readonly (readonly [string, string])[]): string {
  const sorted = entries.toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return `{${sorted.map(([key, value]) => `${key}: ${value}`).join(", ")}}`;
}

function asInteger(value: Value): bigint | undefined {
  return typeof value === "bigint" ? value : value instanceof CelUint ? value.value : undefined;
}

/** A positive double as numerator / denominator. */
function exactly(value: number): { readonly numerator: bigint; readonly denominator: bigint } {
  let shift = 0n;
  let rest = value;
  while (!Number.isInteger(rest)) {
    rest *= 2;
    shift++;
  }
  return { numerator: BigInt(rest), denominator: 1n << shift };
}

/** value × 10^power, rounded half to even from the exact binary value as Go does (JavaScript rounds half up). */
function scaled(value: number, power: number): bigint {
  const { numerator, denominator } = exactly(value);
  const dividend = power < 0 ? numerator : numerator * 10n ** BigInt(power);
  const divisor = power < 0 ? denominator * 10n ** BigInt(-power) : denominator;
  const quotient = dividend / divisor;
  const twice = (dividend % divisor) * 2n;
  return twice > divisor || (twice === divisor && quotient % 2n === 1n) ? quotient + 1n : quotient;
}

function withPoint(digits: string, precision: number): string {
  const whole = digits.length - precision;
  return precision === 0 ? digits : `${digits.slice(0, whole)}.${digits.slice(whole)}`;
}

function signOf(value: number): string {
  return value < 0 || Object.is(value, -0) ? "-" : "";
}

function asFixed(value: number, precision: number): string {
  const digits = scaled(Math.abs(value), precision)
    .toString()
    .padStart(precision + 1, "0");
  return signOf(value) + withPoint(digits, precision);
}

function asScientific(value: number, precision: number): string {
  let exponent = Number(value.toExponential().split("e")[1]);
  let digits = scaled(Math.abs(value), precision - exponent)
    .toString()
    .padStart(precision + 1, "0");
  if (digits.length > precision + 1) {
    exponent++;
    digits = digits.slice(0, -1);
  }
  const power = String(Math.abs(exponent)).padStart(2, "0");
  return `${signOf(value)}${withPoint(digits, precision)}e${exponent < 0 ? "-" : "+"}${power}`;
}

function asHex(clause: Clause, value: Value): string {
  const integer = asInteger(value);
  const text =
    typeof value === "string"
      ? Buffer.from(value).toString("hex")
      : value instanceof Uint8Array
        ? Buffer.from(value).toString("hex")
        : integer?.toString(16);
  if (text === undefined) throw unsupported(clause, value);
  return clause.letter === "X" ? text.toUpperCase() : text;
}

function formatValue(clause: Clause, value: Value): string {
  const integer = asInteger(value);
  switch (clause.letter) {
    case "s":
      return asString(clause, value);
    case "d":
      if (integer !== undefined) return integer.toString();
      if (typeof value === "number") return special(value) ?? plainDouble(value);
      throw unsupported(clause, value);
    case "f":
    case "e": {
      const number = integer === undefined ? value : Number(integer);
      if (typeof number !== "number") throw unsupported(clause, value);
      return (
        special(number) ??
        (clause.letter === "f" ? asFixed(number, clause.precision) : asScientific(number, clause.precision))
      );
    }
    case "b":
      if (typeof value === "boolean") return value ? "1" : "0";
      if (integer !== undefined) return integer.toString(2);
      throw unsupported(clause, value);
    case "o":
      if (integer !== undefined) return integer.toString(8);
      throw unsupported(clause, value);
    default:
      return asHex(clause, value);
  }
}

function format(frame: Frame, pattern: Value, values: Value): string {
  if (typeof pattern !== "string" || values === null || !isList(values)) throw noSuchOverload();
  return parseFormat(pattern, {
    literal(text) {
      frame.spend(text.length);
      return text;
    },
    clause(clause, index) {
      const value = values[index];
      if (value === undefined) throw failure(`index ${index} out of range`);
      const text = formatValue(clause, value);
      frame.spend(text.length);
      return text;
    },
    size: values.length,
    fail: (message) => failure(message),
  });
}

export const formatting: Readonly<Record<string, Implementation>> = {
  format: (frame, a, b) => format(frame, a, b),
};
