import {
  CelDuration,
  CelOptional,
  CelTimestamp,
  CelTypeValue,
  CelUint,
} from "../../src/identity/cel/values.ts";
import type { EncodedValue } from "../cel-oracle/cel-oracle.ts";

/** Writes a result of our engine as the oracle writes its own. */
export function encodeValue(value: unknown): EncodedValue {
  switch (typeof value) {
    case "bigint":
      return { int: value.toString() };
    case "boolean":
      return { bool: value };
    case "string":
      return { string: value };
    case "number":
      return { double: encodeDouble(value) };
    default:
      return encodeObject(value);
  }
}

function encodeObject(value: unknown): EncodedValue {
  if (value === null) {
    return { null: true };
  }
  if (value instanceof CelUint) {
    return { int: value.value.toString() };
  }
  if (value instanceof Uint8Array) {
    return { bytes: Buffer.from(value).toString("base64") };
  }
  if (value instanceof CelTimestamp) {
    const seconds = value.nanoseconds / 1_000_000_000n;
    const rest = value.nanoseconds % 1_000_000_000n;
    const floor = rest < 0n ? seconds - 1n : seconds;
    return {
      timestamp: `${floor}.${((rest + 1_000_000_000n) % 1_000_000_000n).toString().padStart(9, "0")}`,
    };
  }
  if (value instanceof CelDuration) {
    return { duration: value.nanoseconds.toString() };
  }
  if (value instanceof CelTypeValue) {
    return { type: value.name };
  }
  if (value instanceof CelOptional) {
    return { optional: value.value === undefined ? null : encodeValue(value.value) };
  }
  if (value instanceof Map) {
    const entries = [...value].map(([key, element]) => [encodeValue(key), encodeValue(element)]);
    return {
      map: entries.toSorted((one, other) => compareBytes(JSON.stringify(one[0]), JSON.stringify(other[0]))),
    };
  }
  if (Array.isArray(value)) {
    return { list: value.map(encodeValue) };
  }
  return { other: Object.prototype.toString.call(value) };
}

/** Plain data has one form for whole numbers: the oracle's `uint` is read as `int`, and the static types are compared too. */
export function withoutUint(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(withoutUint);
  }
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(
      Object.entries(value).map(([name, part]) => [name === "uint" ? "int" : name, withoutUint(part)]),
    );
  }
  return value;
}

function encodeDouble(value: number): string {
  if (Number.isNaN(value)) {
    return "NaN";
  }
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return bytes.toString("hex");
}

function compareBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
