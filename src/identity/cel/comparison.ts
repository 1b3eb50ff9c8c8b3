import { noSuchOverload } from "./errors.ts";
import {
  CelDuration,
  CelOptional,
  CelTimestamp,
  CelTypeValue,
  CelUint,
  isList,
  isMap,
  type Value,
} from "./values.ts";

type Numeric = bigint | number | CelUint;

function isNumeric(value: Value): value is Numeric {
  return typeof value === "bigint" || typeof value === "number" || value instanceof CelUint;
}

/** Orders numbers of any two types; undefined when one is NaN. A double is compared with the double nearest to the integer. */
function compareNumbers(a: Numeric, b: Numeric): number | undefined {
  const first = a instanceof CelUint ? a.value : a;
  const second = b instanceof CelUint ? b.value : b;
  if (typeof first === "bigint" && typeof second === "bigint")
    return first < second ? -1 : first > second ? 1 : 0;
  const x = Number(first);
  const y = Number(second);
  if (Number.isNaN(x) || Number.isNaN(y)) return undefined;
  return x < y ? -1 : x > y ? 1 : 0;
}

/** Orders text by code points, where UTF-16 would put surrogates before U+E000 to U+FFFF. */
export function compareStrings(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    const xWide = x >= 0xd800 && x <= 0xdfff;
    const yWide = y >= 0xd800 && y <= 0xdfff;
    if (xWide === yWide) return x < y ? -1 : 1;
    return xWide ? 1 : -1;
  }
  return Math.sign(a.length - b.length);
}

/** CEL's equality: numbers of different types by value, other types never equal to one another, NaN to nothing. */
export function isEqual(a: Value, b: Value): boolean {
  if (a === b) return typeof a !== "number" || !Number.isNaN(a);
  if (isNumeric(a)) return isNumeric(b) && compareNumbers(a, b) === 0;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (isList(a))
    return isList(b) && a.length === b.length && a.every((item, index) => isEqual(item, b[index] ?? null));
  if (a instanceof Uint8Array) return b instanceof Uint8Array && Buffer.compare(a, b) === 0;
  if (a instanceof CelTimestamp) return b instanceof CelTimestamp && a.nanoseconds === b.nanoseconds;
  if (a instanceof CelDuration) return b instanceof CelDuration && a.nanoseconds === b.nanoseconds;
  if (a instanceof CelTypeValue) return b instanceof CelTypeValue && a.name === b.name;
  if (a instanceof CelOptional) {
    if (!(b instanceof CelOptional)) return false;
    if (a.value === undefined || b.value === undefined) return a.value === b.value;
    return isEqual(a.value, b.value);
  }
  if (!isMap(a) || !isMap(b) || a.size !== b.size) return false;
  return a.keys().every((key) => {
    const other = b.get(key);
    const own = a.get(key);
    return own !== undefined && other !== undefined && isEqual(own, other);
  });
}

/** Orders two values, undefined when one is NaN. Throws `no such overload` for values that have no order. */
export function compare(a: Value, b: Value): number | undefined {
  if (typeof a === "string" && typeof b === "string") return compareStrings(a, b);
  if (isNumeric(a) && isNumeric(b)) return compareNumbers(a, b);
  if (typeof a === "boolean" && typeof b === "boolean") return Number(a) - Number(b);
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b);
  if (a instanceof CelTimestamp && b instanceof CelTimestamp)
    return a.nanoseconds < b.nanoseconds ? -1 : a.nanoseconds > b.nanoseconds ? 1 : 0;
  if (a instanceof CelDuration && b instanceof CelDuration)
    return a.nanoseconds < b.nanoseconds ? -1 : a.nanoseconds > b.nanoseconds ? 1 : 0;
  throw noSuchOverload();
}
