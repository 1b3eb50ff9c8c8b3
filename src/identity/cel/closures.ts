import { CelCompileError, CelEvaluationError, failure, noSuchOverload } from "./errors.ts";
import type { Frame, Implementation } from "./frame.ts";
import { optionalAt } from "./functions/operators.ts";
import { compilePattern, type Pattern } from "./functions/regex.ts";
import { CelDuration, CelOptional, CelUint, isList, isMap, typeName, type Value } from "./values.ts";

/** A compiled expression. */
export type Evaluate = (frame: Frame) => Value;

/** What is known while the program is built: literals, lists of literals, and conversions of those. */
export const constants = new WeakMap<Evaluate, { readonly value: Value }>();

/** A value that needs no frame. */
export function constant(value: Value): Evaluate {
  const evaluate = (): Value => value;
  constants.set(evaluate, { value });
  return evaluate;
}

/** `operand.field`. */
export function selection(operand: Evaluate, field: string): Evaluate {
  return (frame) => {
    const container = operand(frame);
    if (container instanceof CelOptional) return optionalAt(container, field);
    if (container === null || !isMap(container)) throw notSelectable(container, field);
    const found = container.get(field);
    if (found === undefined) throw failure(`no such key: ${field}`);
    return found;
  };
}

function notSelectable(container: Value, field: string): CelEvaluationError {
  return isList(container)
    ? failure(`unsupported index type 'string' in list`)
    : failure(`no such key: ${field}`);
}

/** `has(operand.field)`. */
export function presence(operand: Evaluate, field: string): Evaluate {
  return (frame) => {
    const container = operand(frame);
    if (container instanceof CelOptional) {
      return (
        container.value !== undefined && isMap(container.value) && container.value.get(field) !== undefined
      );
    }
    if (isList(container)) throw notSelectable(container, field);
    return isMap(container) && container.get(field) !== undefined;
  };
}

/** `condition ? yes : no`. */
export function conditional(condition: Evaluate, yes: Evaluate, no: Evaluate): Evaluate {
  return (frame) => {
    const value = condition(frame);
    if (value === true) return yes(frame);
    if (value === false) return no(frame);
    throw noSuchOverload();
  };
}

/** Runs what a constant decides while the program is built; what fails then makes the program unusable. */
export function whileBuilding<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof CelEvaluationError)) throw error;
    throw new CelCompileError(error.message, [{ line: 0, column: 0, text: error.message }], "program");
  }
}

/** `matches`, `find` and `findAll`; a constant pattern is compiled once. */
export function regexCall(name: string, parameters: readonly Evaluate[]): Evaluate {
  const [text, pattern, limit] = parameters;
  if (text === undefined || pattern === undefined) throw new TypeError(`${name} without its arguments`);
  const run = (compiled: Pattern, frame: Frame, value: Value): Value => {
    if (name === "matches") return compiled.test(frame, value);
    return name === "find" ? compiled.find(frame, value) : compiled.findAll(frame, value, limit?.(frame));
  };
  const source = constants.get(pattern)?.value;
  if (typeof source === "string") {
    const compiled = whileBuilding(() => compilePattern(source));
    return (frame) => run(compiled, frame, text(frame));
  }
  return (frame) => {
    const value = text(frame);
    const source = pattern(frame);
    if (typeof value !== "string" || typeof source !== "string") throw noSuchOverload();
    frame.spend(source.length * 64);
    return run(compilePattern(source), frame, value);
  };
}

/** Calls a function with as many values as the call has. */
export function apply(implementation: Implementation, parameters: readonly Evaluate[]): Evaluate {
  const [a, b, c, d] = parameters;
  const absent = undefined as unknown as Value;
  if (a === undefined) return (frame) => implementation(frame, absent, absent, absent, absent);
  if (b === undefined) return (frame) => implementation(frame, a(frame), absent, absent, absent);
  if (c === undefined) return (frame) => implementation(frame, a(frame), b(frame), absent, absent);
  if (d === undefined) return (frame) => implementation(frame, a(frame), b(frame), c(frame), absent);
  return (frame) => implementation(frame, a(frame), b(frame), c(frame), d(frame));
}

/** The sum of a list that may be empty: what nothing adds up to depends on the type that the checker found. */
export function sumOf(list: Evaluate, kind: string, implementation: Implementation): Evaluate {
  const zeros: Readonly<Record<string, Value>> = {
    uint: new CelUint(0n),
    double: 0,
    duration: new CelDuration(0n),
  };
  const zero = zeros[kind] ?? 0n;
  const absent = undefined as unknown as Value;
  return (frame) => {
    const items = list(frame);
    if (isList(items) && items.length === 0) return zero;
    const total = implementation(frame, items, absent, absent, absent);
    // Go adds to 0.0, which leaves no -0.0.
    return typeof total === "number" ? total + 0 : total;
  };
}

/** The types whose values have an operator on their right. */
const operands: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  Object.entries({
    "_+_": "bytes double google.protobuf.Duration int string google.protobuf.Timestamp uint list",
    "_-_": "double google.protobuf.Duration int google.protobuf.Timestamp uint string",
    "_*_": "double int uint string google.protobuf.Duration google.protobuf.Timestamp",
    "_/_": "double int uint string google.protobuf.Duration google.protobuf.Timestamp",
    "_%_": "int uint string google.protobuf.Duration google.protobuf.Timestamp",
    "-_": "bool double google.protobuf.Duration int string google.protobuf.Timestamp",
    ...Object.fromEntries(
      ["_<_", "_<=_", "_>_", "_>=_"].map((name) => [
        name,
        "bool bytes double google.protobuf.Duration int string google.protobuf.Timestamp uint",
      ]),
    ),
  }).map(([name, types]) => [name, new Set(types.split(" "))]),
);
const unnamed: ReadonlySet<string> = new Set([
  "!_",
  "_==_",
  "_!=_",
  "_[_]",
  "_[?_]",
  "_?._",
  "@in",
  "size",
  "type",
  "dyn",
  "contains",
  "endsWith",
  "startsWith",
  "isSorted",
  "sum",
  "min",
  "max",
]);

/** Gives `no such overload` cel-go's wording: with the name of an operator that the type does not have, with name and types of a function. */
export function named(name: string, implementation: Implementation): Implementation {
  if (unnamed.has(name)) return implementation;
  const types = operands.get(name);
  return (frame, a, b, c, d) => {
    try {
      return implementation(frame, a, b, c, d);
    } catch (error) {
      if (!(error instanceof CelEvaluationError) || error.message !== "no such overload") throw error;
      if (types?.has(typeName(a)) === true) throw error;
      const given = [a, b, c, d].filter((value: Value | undefined) => value !== undefined).map(typeName);
      throw failure(`no such overload: ${name}${types === undefined ? `(${given.join(", ")})` : ""}`);
    }
  };
}

/** `item in ["a", "b"]` with constant texts. */
export function membership(item: Evaluate, texts: ReadonlySet<Value>): Evaluate {
  return (frame) => {
    const value = item(frame);
    return typeof value === "string" && texts.has(value);
  };
}
