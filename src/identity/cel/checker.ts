import type { Call, Comprehension, Expression, OptionalMap } from "./ast.ts";
import type { CelEnvironment } from "./cel.ts";
import { overloads, typeNames } from "./overloads.ts";
import type { CelSource } from "./source.ts";
import {
  boolType,
  dynType,
  errorType,
  formatType,
  intType,
  isSameType,
  listOf,
  mapOf,
  optionalOf,
  stringType,
  type Type,
} from "./types.ts";
import { createUnification, mostGeneral } from "./unification.ts";
import { typeName } from "./values.ts";

/** What the checker learnt about an expression. */
export interface Checked {
  typeOf(node: Expression): Type;
  /** The dotted name that a node stands for when it is a variable, a type or a function's prefix instead of a selection. */
  resolvedName(node: Expression): string | undefined;
}

/** `a.b.c` as a name, if the node is nothing else. */
export function qualifiedName(node: Expression): string | undefined {
  if (node.kind === "identifier") return node.name;
  if (node.kind !== "select" || node.presence) return undefined;
  const prefix = qualifiedName(node.operand);
  return prefix === undefined ? undefined : `${prefix}.${node.field}`;
}

/** Checks types as cel-go's checker does; problems go to the source's report. */
export function check(root: Expression, environment: CelEnvironment, source: CelSource): Checked {
  const types = new Map<number, Type>();
  const names = new Map<number, string>();
  const unification = createUnification();
  const scopes: [string, Type][] = [];

  const declared = (name: string): Type | undefined => {
    const local = scopes.findLast(([known]) => known === name);
    if (local !== undefined) return local[1];
    const plain = name.startsWith(".") ? name.slice(1) : name;
    return (
      (Object.hasOwn(environment.variables, plain) ? environment.variables[plain] : undefined) ??
      typeNames.get(plain)
    );
  };
  const typeOf = (node: Expression): Type => types.get(node.id) ?? errorType;
  const undeclared = (offset: number, name: string): Type => {
    source.report(offset, `undeclared reference to '${name}' (in container '')`);
    return errorType;
  };
  const mismatch = (offset: number, wanted: Type, found: Type): void => {
    source.report(offset, `expected type '${formatType(wanted)}' but found '${formatType(found)}'`);
  };
  const assign = (from: Type, to: Type): boolean => unification.assign([from], [to]);
  const within = <T>(name: string, type: Type, body: () => T): T => {
    scopes.push([name, type]);
    const result = body();
    scopes.pop();
    return result;
  };

  const resolve = (offset: number, name: string, parameters: readonly Type[], receiver: boolean): Type => {
    let result: Type | undefined;
    for (const overload of overloads.get(name) ?? []) {
      if (overload.receiver !== receiver) continue;
      const fresh = new Map(overload.generics.map((generic) => [generic, unification.fresh()]));
      const instantiate = (type: Type): Type => {
        if (type.kind === "parameter") return fresh.get(type.name) ?? type;
        if (type.kind === "list") return listOf(instantiate(type.element));
        if (type.kind === "map") return mapOf(instantiate(type.key), instantiate(type.value));
        if (type.kind === "optional") return optionalOf(instantiate(type.value));
        if (type.kind === "type" && type.of !== undefined) return { kind: "type", of: instantiate(type.of) };
        return type;
      };
      if (!unification.assign(parameters, overload.parameters.map(instantiate))) continue;
      const found = unification.substitute(instantiate(overload.result));
      if (result === undefined) result = found;
      else if (result.kind !== "dyn" && !isSameType(found, result)) result = dynType;
    }
    if (result !== undefined) return result;
    const known = parameters.map((type) => formatType(unification.substitute(type, true)));
    const applied = receiver ? `${known[0]}.(${known.slice(1).join(", ")})` : `(${known.join(", ")})`;
    source.report(offset, `found no matching overload for '${name}' applied to '${applied}'`);
    return errorType;
  };

  const fieldType = (node: Expression, operand: Expression, field: string, optional: boolean): Type => {
    const operandType = unification.substitute(check(operand));
    const target = operandType.kind === "optional" ? operandType.value : operandType;
    let result: Type = dynType;
    if (target.kind === "map") result = target.value;
    else if (target.kind === "object") {
      const found = Object.hasOwn(target.fields, field) ? target.fields[field] : undefined;
      if (found === undefined) source.report(node.offset, `undefined field '${field}'`);
      result = found ?? errorType;
    } else if (target.kind === "parameter") assign(dynType, target);
    else if (target.kind !== "dyn" && target.kind !== "error") {
      source.report(node.offset, `type '${formatType(target)}' does not support field selection`);
    }
    return optional || operandType.kind === "optional" ? optionalOf(result) : result;
  };

  const checkCall = (node: Call): Type => {
    const [first, second] = node.arguments;
    if (
      node.name === "_?._" &&
      first !== undefined &&
      second?.kind === "literal" &&
      typeof second.value === "string"
    ) {
      types.set(second.id, stringType);
      return unification.substitute(fieldType(node, first, second.value, true));
    }
    const parameters = node.arguments.map(check);
    if (node.name === "_&&_" || node.name === "_||_") {
      const wrong = node.arguments.filter((argument) => !assign(typeOf(argument), boolType));
      for (const argument of wrong) mismatch(argument.offset, boolType, typeOf(argument));
      return wrong.length === 0 ? boolType : errorType;
    }
    const plain = node.name.startsWith(".") ? node.name.slice(1) : node.name;
    if (node.target === undefined) {
      return overloads.has(plain)
        ? resolve(node.offset, plain, parameters, false)
        : undeclared(node.offset, node.name);
    }
    const prefix = qualifiedName(node.target);
    if (prefix !== undefined) {
      const full = `${prefix.startsWith(".") ? prefix.slice(1) : prefix}.${node.name}`;
      if (overloads.has(full)) {
        names.set(node.id, full);
        return resolve(node.offset, full, parameters, false);
      }
    }
    const target = check(node.target);
    return overloads.has(plain)
      ? resolve(node.offset, plain, [target, ...parameters], true)
      : undeclared(node.offset, node.name);
  };

  const join = (node: Expression, previous: Type | undefined, current: Type): Type => {
    if (previous === undefined) return current;
    return assign(previous, current) ? mostGeneral(previous, current) : dynType;
  };
  const unwrapped = (node: Expression, optional: boolean): Type => {
    const type = check(node);
    if (!optional) return type;
    if (type.kind === "optional") return type.value;
    if (type.kind !== "dyn") mismatch(node.offset, optionalOf(type), type);
    return type;
  };

  const checkComprehension = (node: Comprehension): Type => {
    const range = unification.substitute(check(node.range));
    let variable: Type = dynType;
    if (range.kind === "list") variable = range.element;
    else if (range.kind === "map") variable = range.key;
    else if (range.kind === "dyn" || range.kind === "error" || range.kind === "parameter")
      assign(dynType, range);
    else {
      source.report(
        node.range.offset,
        `expression of type '${formatType(range)}' cannot be range of a comprehension (must be list, map, or dynamic)`,
      );
      variable = errorType;
    }
    // Made here so that parameters are numbered as cel-go's messages show them.
    const accumulated =
      node.macro === "map" || node.macro === "filter" ? listOf(unification.fresh()) : dynType;
    return within(node.variable, variable, () => {
      const predicate = node.predicate === undefined ? undefined : check(node.predicate);
      if (
        (node.macro === "all" || node.macro === "exists") &&
        predicate !== undefined &&
        node.predicate !== undefined
      ) {
        if (!assign(predicate, boolType)) mismatch(node.predicate.offset, boolType, predicate);
        return boolType;
      }
      if (node.macro === "exists_one") {
        if (predicate !== undefined) resolve(node.offset, "_?_:_", [predicate, intType, intType], false);
        return boolType;
      }
      const element = node.transform === undefined ? variable : check(node.transform);
      let step = resolve(node.offset, "_+_", [accumulated, listOf(element)], false);
      if (predicate !== undefined)
        step = resolve(node.offset, "_?_:_", [predicate, step, accumulated], false);
      if (!assign(accumulated, step)) mismatch(node.offset, accumulated, step);
      return unification.substitute(accumulated);
    });
  };

  const checkOptionalMap = (node: OptionalMap): Type => {
    const target = check(node.target);
    resolve(node.offset, "hasValue", [target], true);
    const inner = resolve(node.offset, "value", [target], true);
    const body = within(node.variable, unification.substitute(inner), () => check(node.body));
    const mapped = node.flat ? body : resolve(node.offset, "optional.of", [body], false);
    const none = resolve(node.offset, "optional.none", [], false);
    return resolve(node.offset, "_?_:_", [boolType, mapped, none], false);
  };

  const typed = (node: Expression): Type => {
    switch (node.kind) {
      case "literal":
        return { kind: typeName(node.value) } as Type;
      case "identifier": {
        const found = declared(node.name);
        if (found === undefined) return undeclared(node.offset, node.name);
        names.set(node.id, node.name);
        return found;
      }
      case "select": {
        const name = qualifiedName(node);
        const found = name === undefined ? undefined : declared(name);
        if (name !== undefined && found !== undefined) {
          names.set(node.id, name);
          return found;
        }
        const result = fieldType(node, node.operand, node.field, false);
        return node.presence ? boolType : unification.substitute(result);
      }
      case "call":
        return checkCall(node);
      case "list": {
        let element: Type | undefined;
        for (const { value, optional } of node.elements)
          element = join(value, element, unwrapped(value, optional));
        return listOf(element ?? unification.fresh());
      }
      case "map": {
        let key: Type | undefined;
        let value: Type | undefined;
        for (const entry of node.entries) {
          key = join(entry.key, key, check(entry.key));
          value = join(entry.value, value, unwrapped(entry.value, entry.optional));
        }
        return mapOf(key ?? unification.fresh(), value ?? unification.fresh());
      }
      case "comprehension":
        return checkComprehension(node);
      case "optionalMap":
        return checkOptionalMap(node);
      case "message":
        return undeclared(node.offset, node.name);
      default:
        return errorType;
    }
  };
  function check(node: Expression): Type {
    const type = typed(node);
    types.set(node.id, type);
    return type;
  }

  check(root);
  return {
    typeOf: (node) => unification.substitute(typeOf(node), true),
    resolvedName: (node) => names.get(node.id),
  };
}
