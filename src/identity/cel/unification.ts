import { dynType, isSameType, mapParameters, parametersOf, type Type } from "./types.ts";

/** What type parameters stand for, learnt from one expression. */
export interface Unification {
  /** A parameter that is not yet known. */
  fresh(): Type;
  /** Whether each type can stand where the other list has one; parameters are bound only if all can. */
  assign(from: readonly Type[], to: readonly Type[]): boolean;
  /** A type with its known parameters replaced; unknown ones become dyn when `final`. */
  substitute(type: Type, final?: boolean): Type;
}

function isDynOrError(type: Type): boolean {
  return type.kind === "dyn" || type.kind === "error";
}

/** Whether the first type says no more than the second. */
function isLessSpecific(first: Type, second: Type): boolean {
  if (first.kind === "dyn" || first.kind === "parameter") return true;
  if (second.kind === "dyn" || second.kind === "parameter" || first.kind !== second.kind) return false;
  if (first.kind === "type") return true;
  const others = parametersOf(second);
  const parts = parametersOf(first);
  if (parts.length === 0) return isSameType(first, second);
  return parts.every((part, index) => {
    const other = others[index];
    return other !== undefined && isLessSpecific(part, other);
  });
}

/** The more general one of two types that can stand for each other. */
export function mostGeneral(first: Type, second: Type): Type {
  return isLessSpecific(first, second) ? first : second;
}

export function createUnification(): Unification {
  const bound = new Map<string, Type>();
  /** What to restore when an attempt fails. */
  let journal: [string, Type | undefined][] = [];
  let count = 0;

  const bind = (name: string, type: Type): void => {
    journal.push([name, bound.get(name)]);
    bound.set(name, type);
  };

  /** The occurs check: whether the parameter is no part of the type. */
  const isAbsent = (parameter: Type & { kind: "parameter" }, type: Type): boolean => {
    if (type.kind === "parameter") {
      if (type.name === parameter.name) return false;
      const known = bound.get(type.name);
      return known === undefined || isAbsent(parameter, known);
    }
    return parametersOf(type).every((part) => isAbsent(parameter, part));
  };

  const substitution = (
    type: Type,
    parameter: Type & { kind: "parameter" },
  ): "valid" | "conflict" | "impossible" => {
    if (isSameType(type, parameter)) return "valid";
    const known = bound.get(parameter.name);
    if (known !== undefined) {
      if (isSameType(type, known)) return "valid";
      if (!isAssignable(type, known)) return "conflict";
      const general = mostGeneral(type, known);
      if (isAbsent(parameter, general)) bind(parameter.name, general);
      return "valid";
    }
    if (!isAbsent(parameter, type)) return "impossible";
    bind(parameter.name, type);
    return "valid";
  };

  const isAssignable = (from: Type, to: Type): boolean => {
    if (to.kind === "parameter") {
      const result = substitution(from, to);
      if (result !== "impossible") return result === "valid";
    }
    if (from.kind === "parameter") return substitution(to, from) === "valid";
    if (isDynOrError(from) || isDynOrError(to)) return true;
    if (from.kind === "null_type") return isNullable(to);
    if (to.kind === "null_type") return isNullable(from);
    if (from.kind !== to.kind) return false;
    if (from.kind === "object") return isSameType(from, to);
    if (from.kind === "type") return true;
    const others = parametersOf(to);
    return parametersOf(from).every((part, index) => {
      const other = others[index];
      return other !== undefined && isAssignable(part, other);
    });
  };

  const substitute = (type: Type, final = false): Type => {
    if (type.kind === "parameter") {
      const known = bound.get(type.name);
      if (known !== undefined) return substitute(known, final);
      return final ? dynType : type;
    }
    return mapParameters(type, (part) => substitute(part, final));
  };

  return {
    fresh: () => ({ kind: "parameter", name: `_var${count++}` }),
    assign(from, to) {
      journal = [];
      const ok =
        from.length === to.length &&
        from.every((type, index) => {
          const target = to[index];
          return target !== undefined && isAssignable(type, target);
        });
      if (!ok) {
        for (const [name, before] of journal.toReversed()) {
          if (before === undefined) bound.delete(name);
          else bound.set(name, before);
        }
      }
      return ok;
    },
    substitute,
  };
}

/** As cel-go has it from protocol buffers: these types also hold null. */
function isNullable(type: Type): boolean {
  return ["null_type", "optional", "object", "timestamp", "duration"].includes(type.kind);
}
