import type { Evaluate } from "./closures.ts";
import { CelEvaluationError, failure, noSuchOverload } from "./errors.ts";
import { isList, isMap, typeName, type Value } from "./values.ts";

/** `&&` (`decisive` false) and `||` (`decisive` true): one decisive term decides, whatever errors the others have. */
export function logic(terms: readonly Evaluate[], decisive: boolean): Evaluate {
  return (frame) => {
    let problem: CelEvaluationError | undefined;
    for (const term of terms) {
      try {
        const value = term(frame);
        if (value === decisive) return decisive;
        if (value !== !decisive) problem ??= noSuchOverload();
      } catch (error) {
        problem ??= absorbable(error);
      }
    }
    if (problem !== undefined) throw problem;
    return !decisive;
  };
}

/** Errors of limits end an evaluation at once; no operator may hide them. */
function absorbable(error: unknown): CelEvaluationError {
  if (!(error instanceof CelEvaluationError) || error.message.startsWith("operation ")) throw error;
  return error;
}

/** The items of a range: the elements of a list, the keys of a map. */
function itemsOf(range: Value): readonly Value[] {
  if (range !== null && isList(range)) return range;
  if (range !== null && isMap(range)) return range.keys();
  const names: Readonly<Record<string, string>> = {
    null_type: "types.Null",
    "google.protobuf.Timestamp": "types.Timestamp",
    "google.protobuf.Duration": "types.Duration",
    optional_type: "*types.Optional",
    type: "*types.Type",
  };
  const name =
    names[typeName(range)] ?? `types.${typeName(range).replace(/^./u, (letter) => letter.toUpperCase())}`;
  throw failure(`got '${name}', expected iterable type`);
}

function truth(value: Value): boolean {
  if (typeof value !== "boolean") throw noSuchOverload();
  return value;
}

/** `all` (`decisive` false) and `exists` (`decisive` true) over the items that `slot` takes. */
export function quantifier(range: Evaluate, slot: number, predicate: Evaluate, decisive: boolean): Evaluate {
  return (frame) => {
    let problem: CelEvaluationError | undefined;
    for (const item of itemsOf(range(frame))) {
      frame.tick();
      frame.slots[slot] = item;
      try {
        const value = predicate(frame);
        if (value === decisive) return decisive;
        if (value !== !decisive) problem ??= noSuchOverload();
      } catch (error) {
        problem ??= absorbable(error);
      }
    }
    if (problem !== undefined) throw problem;
    return !decisive;
  };
}

/** `exists_one`. As in cel-go, whose loop goes on after an error, the last error is the one that shows. */
export function exactlyOne(range: Evaluate, slot: number, predicate: Evaluate): Evaluate {
  return (frame) => {
    let count = 0;
    let problem: CelEvaluationError | undefined;
    for (const item of itemsOf(range(frame))) {
      frame.tick();
      frame.slots[slot] = item;
      try {
        if (truth(predicate(frame))) count++;
      } catch (error) {
        problem = absorbable(error);
      }
    }
    if (problem !== undefined) throw problem;
    return count === 1;
  };
}

/** `map` and `filter`: the items that satisfy the predicate, transformed. An error of a predicate does not end the loop, as in cel-go. */
export function collected(
  range: Evaluate,
  slot: number,
  predicate: Evaluate | undefined,
  transform: Evaluate | undefined,
): Evaluate {
  return (frame) => {
    const found: Value[] = [];
    let problem: CelEvaluationError | undefined;
    for (const item of itemsOf(range(frame))) {
      frame.tick();
      frame.slots[slot] = item;
      try {
        if ((predicate !== undefined && !truth(predicate(frame))) || problem !== undefined) continue;
        frame.spend(1);
        found.push(transform === undefined ? item : transform(frame));
      } catch (error) {
        problem = absorbable(error);
        if (predicate === undefined) break;
      }
    }
    if (problem !== undefined) throw problem;
    return found;
  };
}
