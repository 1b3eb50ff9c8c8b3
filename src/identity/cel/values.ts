import type { CelInput } from "./cel.ts";

/** An unsigned 64-bit integer. */
export class CelUint {
  readonly value: bigint;
  constructor(value: bigint) {
    this.value = value;
  }
}

/** A point in time, in nanoseconds since 1970-01-01T00:00:00Z. */
export class CelTimestamp {
  readonly nanoseconds: bigint;
  /** Seconds east of UTC that it was written with; its text shows them, nothing else does. */
  readonly offset: number;
  constructor(nanoseconds: bigint, offset = 0) {
    this.nanoseconds = nanoseconds;
    this.offset = offset;
  }
}

/** A span of time in nanoseconds. */
export class CelDuration {
  readonly nanoseconds: bigint;
  constructor(nanoseconds: bigint) {
    this.nanoseconds = nanoseconds;
  }
}

/** A type as a value, such as `int` or `type(1)`. */
export class CelTypeValue {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** `optional.of(value)`, or `optional.none()` when `value` is undefined. */
export class CelOptional {
  readonly value: Value | undefined;
  constructor(value: Value | undefined) {
    this.value = value;
  }
}

export const none = new CelOptional(undefined);

/** A map at run time; keys are strings, ints, uints or bools, and equal numbers are the same key whatever their type. */
export interface CelMap {
  readonly isMap: true;
  readonly size: number;
  get(key: Value): Value | undefined;
  keys(): readonly Value[];
}

/** A value at run time: int is bigint, double is number, bytes is Uint8Array, list is an array. */
export type Value =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | CelUint
  | CelTimestamp
  | CelDuration
  | CelTypeValue
  | CelOptional
  | CelMap
  | readonly Value[];

const minimumInt64 = -(2n ** 63n);
const maximumInt64 = 2n ** 63n - 1n;
const maximumUint64 = 2n ** 64n - 1n;

export function isInt64(value: bigint): boolean {
  return value >= minimumInt64 && value <= maximumInt64;
}

export function isUint64(value: bigint): boolean {
  return value >= 0n && value <= maximumUint64;
}

export function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

export function isMap(value: Value): value is CelMap {
  return typeof value === "object" && value !== null && "isMap" in value;
}

/** What a key is looked up by, or undefined when the value cannot be a key. */
export function mapKey(key: Value): string | bigint | boolean | undefined {
  if (typeof key === "string" || typeof key === "bigint" || typeof key === "boolean") return key;
  if (key instanceof CelUint) return key.value;
  if (typeof key === "number" && Number.isInteger(key)) return BigInt(key);
  return undefined;
}

/** A map from entries; the last of equal keys stays. Keys that cannot be looked up are never found. */
export function createMap(entries: Iterable<readonly [Value, Value]>): CelMap {
  const found = new Map<unknown, readonly [Value, Value]>();
  for (const entry of entries) found.set(mapKey(entry[0]) ?? entry[0], entry);
  return {
    isMap: true,
    size: found.size,
    get: (key) => found.get(mapKey(key) ?? key)?.[1],
    keys: () => [...found.values()].map((entry) => entry[0]),
  };
}

/** A plain object as a map with string keys, converted field by field when they are asked for. */
class ObjectMap implements CelMap {
  readonly isMap = true;
  readonly #object: Readonly<Record<string, CelInput>>;
  #converted: Map<string, Value> | undefined;
  #keys: readonly string[] | undefined;

  constructor(object: Readonly<Record<string, CelInput>>) {
    this.#object = object;
  }

  get size(): number {
    return this.keys().length;
  }

  get(key: Value): Value | undefined {
    if (typeof key !== "string" || !Object.hasOwn(this.#object, key)) return undefined;
    const input = this.#object[key];
    if (input === undefined) return undefined;
    if (typeof input !== "object") return fromInput(input);
    this.#converted ??= new Map();
    let value = this.#converted.get(key);
    if (value === undefined) this.#converted.set(key, (value = fromInput(input)));
    return value;
  }

  keys(): readonly string[] {
    return (this.#keys ??= Object.keys(this.#object).filter((name) => this.#object[name] !== undefined));
  }
}

/** A value as it comes out of JSON: whole numbers are int (double beyond 64 bits), others double. */
export function fromInput(input: CelInput): Value {
  switch (typeof input) {
    case "string":
    case "boolean":
      return input;
    case "number":
      return Number.isSafeInteger(input) ? BigInt(input) : input;
    case "bigint":
      return isInt64(input) ? input : Number(input);
    default:
      if (input === null) return null;
      if (Array.isArray(input)) return (input as readonly CelInput[]).map(fromInput);
      return new ObjectMap(input as Readonly<Record<string, CelInput>>);
  }
}

/** A result as plain data: int and uint are bigint, list is an array, map is a Map; the rest stays as it is. */
export function toOutput(value: Value): unknown {
  if (value instanceof CelUint) return value.value;
  if (value instanceof CelOptional)
    return value.value === undefined ? none : new CelOptional(toOutput(value.value) as Value);
  if (isList(value)) return value.map(toOutput);
  if (isMap(value))
    return new Map(value.keys().map((key) => [toOutput(key), toOutput(value.get(key) ?? null)]));
  return value;
}

/** The name of a value's type at run time. */
export function typeName(value: Value): string {
  switch (typeof value) {
    case "string":
      return "string";
    case "bigint":
      return "int";
    case "number":
      return "double";
    case "boolean":
      return "bool";
    default:
      if (value === null) return "null_type";
      if (isList(value)) return "list";
      if (value instanceof CelUint) return "uint";
      if (value instanceof Uint8Array) return "bytes";
      if (value instanceof CelTimestamp) return "google.protobuf.Timestamp";
      if (value instanceof CelDuration) return "google.protobuf.Duration";
      if (value instanceof CelTypeValue) return "type";
      if (value instanceof CelOptional) return "optional_type";
      return "map";
  }
}

/** A value inside a message: plain values as they are written, others by the name of their type. */
export function plainText(value: Value | undefined): string {
  if (value instanceof CelUint) return value.value.toString();
  return typeof value === "object" && value !== null ? typeName(value) : String(value);
}
