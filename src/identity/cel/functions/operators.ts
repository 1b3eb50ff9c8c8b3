import { compare, isEqual } from "../comparison.ts";
import { failure, noSuchOverload } from "../errors.ts";
import type { Frame, Implementation } from "../frame.ts";
import { checkedDuration, checkedTimestamp } from "./time-text.ts";
import {
  CelDuration,
  CelOptional,
  CelTimestamp,
  CelUint,
  isInt64,
  isList,
  isMap,
  isUint64,
  mapKey,
  none,
  plainText,
  typeName,
  type Value,
} from "../values.ts";

function int(value: bigint): bigint {
  if (!isInt64(value)) throw failure("integer overflow");
  return value;
}

function uint(value: bigint): CelUint {
  if (!isUint64(value)) throw failure("unsigned integer overflow");
  return new CelUint(value);
}

interface Arithmetic {
  readonly integers: (a: bigint, b: bigint) => bigint;
  readonly doubles?: (a: number, b: number) => number;
}

function arithmetic({ integers, doubles }: Arithmetic): (a: Value, b: Value) => Value {
  return (a, b) => {
    if (typeof a === "bigint" && typeof b === "bigint") return int(integers(a, b));
    if (typeof a === "number" && typeof b === "number" && doubles !== undefined) return doubles(a, b);
    if (a instanceof CelUint && b instanceof CelUint) return uint(integers(a.value, b.value));
    throw noSuchOverload();
  };
}

const addNumbers = arithmetic({ integers: (a, b) => a + b, doubles: (a, b) => a + b });
const subtractNumbers = arithmetic({ integers: (a, b) => a - b, doubles: (a, b) => a - b });
const multiply = arithmetic({ integers: (a, b) => a * b, doubles: (a, b) => a * b });
const divide = arithmetic({
  integers: (a, b) => {
    if (b === 0n) throw failure("division by zero");
    return a / b;
  },
  doubles: (a, b) => a / b,
});
const modulo = arithmetic({
  integers: (a, b) => {
    if (b === 0n) throw failure("modulus by zero");
    // As in Go's checked arithmetic, where the quotient overflows.
    if (b === -1n && !isInt64(-a)) throw failure("integer overflow");
    return a % b;
  },
});

/** `a + b` for every pair of types that has it. */
export function add(frame: Frame, a: Value, b: Value): Value {
  if (typeof a === "string" && typeof b === "string") {
    frame.spend(a.length + b.length);
    return a + b;
  }
  if (a instanceof CelDuration) {
    if (b instanceof CelDuration) return checkedDuration(a.nanoseconds + b.nanoseconds);
    if (b instanceof CelTimestamp) return checkedTimestamp(a.nanoseconds + b.nanoseconds, b.offset);
  }
  if (a instanceof CelTimestamp && b instanceof CelDuration)
    return checkedTimestamp(a.nanoseconds + b.nanoseconds, a.offset);
  if (a !== null && b !== null && isList(a) && isList(b)) {
    frame.spend(a.length + b.length);
    return [...a, ...b];
  }
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    frame.spend(a.length + b.length);
    return Buffer.concat([a, b]);
  }
  return addNumbers(a, b);
}

function subtract(_frame: Frame, a: Value, b: Value): Value {
  if (a instanceof CelTimestamp) {
    if (b instanceof CelTimestamp) return checkedDuration(a.nanoseconds - b.nanoseconds);
    if (b instanceof CelDuration) return checkedTimestamp(a.nanoseconds - b.nanoseconds, a.offset);
  }
  if (a instanceof CelDuration && b instanceof CelDuration)
    return checkedDuration(a.nanoseconds - b.nanoseconds);
  return subtractNumbers(a, b);
}

function negate(value: Value): Value {
  if (typeof value === "bigint") return int(-value);
  if (typeof value === "number") return -value;
  throw noSuchOverload();
}

/** The text of a value inside `no such key: …`. */
function keyText(key: Value): string {
  if (Object.is(key, -0)) return "-0";
  return plainText(key);
}

function listIndex(index: Value): number {
  const key = typeof index === "boolean" || typeof index === "string" ? undefined : mapKey(index);
  if (typeof key !== "bigint") {
    throw failure(
      typeof index === "number"
        ? `unsupported index value ${index} in list`
        : `unsupported index type '${typeName(index)}' in list`,
    );
  }
  return Number(key);
}

/** The element or entry, or undefined when there is none. */
export function find(container: Value, index: Value): Value | undefined {
  if (container !== null && isMap(container)) return container.get(index);
  if (container !== null && isList(container)) return container[listIndex(index)];
  return undefined;
}

/** `container[index]`; an optional container gives an optional element. */
export function at(container: Value, index: Value): Value {
  if (container instanceof CelOptional) return optionalAt(container, index);
  const found = find(container, index);
  if (found !== undefined) return found;
  throw failure(
    isList(container) ? `index out of bounds: ${keyText(index)}` : `no such key: ${keyText(index)}`,
  );
}

/** `container[?index]` and `container.?field`. */
export function optionalAt(container: Value, index: Value): Value {
  const inner = container instanceof CelOptional ? container.value : container;
  if (inner === undefined) return none;
  const found = find(inner, index);
  return found === undefined ? none : new CelOptional(found);
}

/** `item in container`. */
export function contains(frame: Frame, item: Value, container: Value): boolean {
  if (container !== null && isMap(container)) return container.get(item) !== undefined;
  if (container === null || !isList(container)) throw noSuchOverload();
  frame.spend(container.length >> 4);
  return container.some((element) => isEqual(element, item));
}

function ordering(test: (order: number) => boolean): Implementation {
  return (_frame, a, b) => {
    const order = compare(a, b);
    return order !== undefined && test(order);
  };
}

export const operators: Readonly<Record<string, Implementation>> = {
  "_+_": add,
  "_-_": subtract,
  "_*_": (_frame, a, b) => multiply(a, b),
  "_/_": (_frame, a, b) => divide(a, b),
  "_%_": (_frame, a, b) => modulo(a, b),
  "-_": (_frame, a) => negate(a),
  "!_": (_frame, a) => {
    if (typeof a !== "boolean") throw noSuchOverload();
    return !a;
  },
  "_==_": (_frame, a, b) => isEqual(a, b),
  "_!=_": (_frame, a, b) => !isEqual(a, b),
  "_<_": ordering((order) => order < 0),
  "_<=_": ordering((order) => order <= 0),
  "_>_": ordering((order) => order > 0),
  "_>=_": ordering((order) => order >= 0),
  "_[_]": (_frame, a, b) => at(a, b),
  "_[?_]": (_frame, a, b) => optionalAt(a, b),
  "_?._": (_frame, a, b) => optionalAt(a, b),
  "@in": contains,
};
