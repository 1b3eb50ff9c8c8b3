import type { Call, Comprehension, Expression, OptionalMap } from "./ast.ts";
import type { Checked } from "./checker.ts";
import {
  apply,
  conditional,
  constant,
  constants,
  membership,
  named,
  presence,
  regexCall,
  selection,
  sumOf,
  whileBuilding,
  type Evaluate,
} from "./closures.ts";
import { failure, noSuchOverload } from "./errors.ts";
import type { Frame } from "./frame.ts";
import { constantConversions } from "./functions/conversions.ts";
import { library } from "./functions/library.ts";
import { collected, exactlyOne, logic, quantifier } from "./loops.ts";
import { CelOptional, CelTypeValue, createMap, none, plainText, type Value } from "./values.ts";

export interface Compiled {
  readonly evaluate: Evaluate;
  /** Slots of a frame: first the environment's variables in order, then those of comprehensions. */
  readonly slots: number;
}

interface Compilation {
  readonly checked: Checked;
  readonly globals: ReadonlyMap<string, number>;
  readonly locals: [string, number][];
  slots: number;
}

const neverCalled: Frame = {
  slots: [],
  tick: () => undefined,
  spend: () => undefined,
};

function variable(compilation: Compilation, name: string): Evaluate {
  const plain = name.startsWith(".") ? name.slice(1) : name;
  const slot =
    compilation.locals.findLast(([known]) => known === name)?.[1] ?? compilation.globals.get(plain);
  if (slot === undefined) return constant(new CelTypeValue(plain));
  return (frame) => {
    const value = frame.slots[slot];
    if (value === undefined) throw failure(`no such attribute(s): ${plain}`);
    return value;
  };
}

function call(compilation: Compilation, node: Call): Evaluate {
  const namespaced = compilation.checked.resolvedName(node);
  const written =
    node.target === undefined || namespaced !== undefined ? node.arguments : [node.target, ...node.arguments];
  const name = namespaced ?? (node.name.startsWith(".") ? node.name.slice(1) : node.name);
  const parameters = written.map((argument) => compile(compilation, argument));
  const [a, b, c] = parameters;
  if (name === "_&&_" || name === "_||_") return logic(parameters, name === "_||_");
  if (name === "_?_:_" && a !== undefined && b !== undefined && c !== undefined) return conditional(a, b, c);
  if ((name === "or" || name === "orValue") && a !== undefined && b !== undefined) {
    return (frame) => {
      const first = a(frame);
      if (!(first instanceof CelOptional)) throw noSuchOverload();
      if (first.value === undefined) return b(frame);
      return name === "or" ? first : first.value;
    };
  }
  if (name === "matches" || name === "find" || name === "findAll") return regexCall(name, parameters);
  const [, container] = written;
  if (name === "@in" && a !== undefined && container?.kind === "list") {
    if (container.elements.length === 0) return constant(false);
    const texts = container.elements.map((element) =>
      element.value.kind === "literal" && !element.optional ? element.value.value : null,
    );
    if (texts.every((text) => typeof text === "string")) return membership(a, new Set(texts));
  }
  const implementation = library.get(name);
  if (implementation === undefined) throw new TypeError(`no implementation of ${name}`);
  if (name === "sum" && a !== undefined)
    return sumOf(a, compilation.checked.typeOf(node).kind, named(name, implementation));
  const evaluate = apply(named(name, implementation), parameters);
  if (constantConversions.has(name) && a !== undefined && constants.has(a)) {
    return constant(whileBuilding(() => evaluate(neverCalled)));
  }
  return evaluate;
}

function local<T>(compilation: Compilation, name: string, body: (slot: number) => T): T {
  const slot = compilation.slots++;
  compilation.locals.push([name, slot]);
  const result = body(slot);
  compilation.locals.pop();
  return result;
}

function comprehension(compilation: Compilation, node: Comprehension): Evaluate {
  const range = compile(compilation, node.range);
  return local(compilation, node.variable, (slot) => {
    const predicate = node.predicate === undefined ? undefined : compile(compilation, node.predicate);
    const transform = node.transform === undefined ? undefined : compile(compilation, node.transform);
    if (node.macro === "map" || node.macro === "filter") return collected(range, slot, predicate, transform);
    const condition = predicate ?? constant(true);
    return node.macro === "exists_one"
      ? exactlyOne(range, slot, condition)
      : quantifier(range, slot, condition, node.macro === "exists");
  });
}

function optionalMap(compilation: Compilation, node: OptionalMap): Evaluate {
  const target = compile(compilation, node.target);
  return local(compilation, node.variable, (slot) => {
    const body = compile(compilation, node.body);
    return (frame) => {
      const optional = target(frame);
      if (!(optional instanceof CelOptional)) throw noSuchOverload();
      if (optional.value === undefined) return none;
      frame.slots[slot] = optional.value;
      return node.flat ? body(frame) : new CelOptional(body(frame));
    };
  });
}

/** The value of an optional element or entry; undefined when it is left out. */
function present(value: Value, optional: boolean): Value | undefined {
  if (!optional) return value;
  if (!(value instanceof CelOptional))
    throw failure(`cannot initialize optional list element from non-optional value ${plainText(value)}`);
  return value.value;
}

function aggregate(compilation: Compilation, node: Extract<Expression, { kind: "list" | "map" }>): Evaluate {
  if (node.kind === "list") {
    const elements = node.elements.map(({ value, optional }) => ({
      value: compile(compilation, value),
      optional,
    }));
    if (elements.every(({ value, optional }) => constants.has(value) && !optional)) {
      return constant(elements.map(({ value }) => value(neverCalled)));
    }
    return (frame) => {
      frame.spend(elements.length);
      return elements
        .map(({ value, optional }) => present(value(frame), optional))
        .filter((value) => value !== undefined);
    };
  }
  const entries = node.entries.map(({ key, value, optional }) => ({
    key: compile(compilation, key),
    value: compile(compilation, value),
    optional,
  }));
  const evaluate = (frame: Frame): Value => {
    frame.spend(entries.length);
    const found: [Value, Value][] = [];
    for (const { key, value, optional } of entries) {
      const name = key(frame);
      const content = present(value(frame), optional);
      if (content !== undefined) found.push([name, content]);
    }
    return createMap(found);
  };
  const isConstant = entries.every(
    ({ key, value, optional }) => constants.has(key) && constants.has(value) && !optional,
  );
  return isConstant ? constant(whileBuilding(() => evaluate(neverCalled))) : evaluate;
}

function compile(compilation: Compilation, node: Expression): Evaluate {
  switch (node.kind) {
    case "literal":
      return constant(node.value);
    case "identifier":
      return variable(compilation, node.name);
    case "select": {
      const name = compilation.checked.resolvedName(node);
      if (name !== undefined) return variable(compilation, name);
      const operand = compile(compilation, node.operand);
      return node.presence ? presence(operand, node.field) : selection(operand, node.field);
    }
    case "call":
      return call(compilation, node);
    case "list":
    case "map":
      return aggregate(compilation, node);
    case "comprehension":
      return comprehension(compilation, node);
    case "optionalMap":
      return optionalMap(compilation, node);
    default:
      throw new TypeError("only checked expressions can be evaluated");
  }
}

/** Turns a checked expression into closures. Throws `CelCompileError` of phase `program` for constants that have no value. */
export function compileEvaluator(root: Expression, checked: Checked, variables: readonly string[]): Compiled {
  const compilation: Compilation = {
    checked,
    globals: new Map(variables.map((name, index) => [name, index])),
    locals: [],
    slots: variables.length,
  };
  const evaluate = compile(compilation, root);
  return { evaluate, slots: compilation.slots };
}
