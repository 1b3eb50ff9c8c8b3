import type { Comprehension, Expression } from "./ast.ts";
import type { CelEnvironment } from "./cel.ts";
import type { Checked } from "./checker.ts";
import type { Type } from "./types.ts";

/** The worst case of an expression: what it costs and how large its value may be (characters, elements). */
interface Estimate {
  readonly cost: number;
  readonly size: number;
  /** Of an element or entry, when the value is a list or map. */
  readonly element?: Estimate;
}

const assumedText = 256;
const assumedAggregate = 100;

interface Estimator {
  readonly checked: Checked;
  readonly text: number;
  readonly aggregate: number;
  readonly locals: [string, Estimate][];
}

/** The assumed size of data of a type. */
function assumed(estimator: Estimator, type: Type): Estimate {
  switch (type.kind) {
    case "string":
    case "bytes":
      return { cost: 1, size: estimator.text };
    case "list":
      return { cost: 1, size: estimator.aggregate, element: assumed(estimator, type.element) };
    case "map":
      return { cost: 1, size: estimator.aggregate, element: assumed(estimator, type.value) };
    case "optional":
      return assumed(estimator, type.value);
    case "dyn":
    case "object": {
      // Data of any shape: a text, or a list or map of more of the same.
      const leaf: Estimate = { cost: 1, size: Math.max(estimator.text, estimator.aggregate) };
      return { ...leaf, element: { ...leaf, element: { ...leaf, element: leaf } } };
    }
    default:
      return { cost: 1, size: 1 };
  }
}

function larger(a: Estimate, b: Estimate): Estimate {
  const element =
    a.element !== undefined && b.element !== undefined
      ? larger(a.element, b.element)
      : (a.element ?? b.element);
  const merged = { cost: Math.max(a.cost, b.cost), size: Math.max(a.size, b.size) };
  return element === undefined ? merged : { ...merged, element };
}

function withCost(estimate: Estimate, cost: number): Estimate {
  return { ...estimate, cost };
}

/** Functions that look at every character or element of their operands. */
const linear = new Set([
  "_==_",
  "_!=_",
  "_<_",
  "_<=_",
  "_>_",
  "_>=_",
  "contains",
  "startsWith",
  "endsWith",
  "size",
  "lowerAscii",
  "upperAscii",
  "trim",
  "reverse",
  "substring",
  "charAt",
  "strings.quote",
  "bytes",
  "string",
  "isSorted",
  "sum",
  "min",
  "max",
  "@in",
]);

/** How many plain values a value is made of. */
function volume(estimate: Estimate): number {
  return estimate.element === undefined
    ? estimate.size
    : estimate.size * Math.max(1, estimate.element.size / 10);
}

function call(estimator: Estimator, node: Expression & { kind: "call" }, type: Type): Estimate {
  const name = estimator.checked.resolvedName(node) ?? node.name;
  const written =
    node.target === undefined || name !== node.name ? node.arguments : [node.target, ...node.arguments];
  const parameters = written.map((argument) => estimateNode(estimator, argument));
  const cost = 1 + parameters.reduce((total, parameter) => total + parameter.cost, 0);
  const [first, second, third] = parameters;
  const scalar: Estimate = { cost, size: 1 };
  if (first === undefined) return withCost(assumed(estimator, type), cost);
  switch (name) {
    case "_?_:_":
      return second === undefined || third === undefined
        ? scalar
        : { ...larger(second, third), cost: 1 + first.cost + Math.max(second.cost, third.cost) };
    case "_+_": {
      if (second === undefined) return scalar;
      const joined = larger(first, second);
      return {
        ...joined,
        size: first.size + second.size,
        cost: cost + Math.ceil((first.size + second.size) / 10),
      };
    }
    case "_[_]":
    case "_[?_]":
    case "_?._":
      return withCost(first.element ?? assumed(estimator, type), cost);
    case "or":
    case "orValue":
      return withCost(second === undefined ? first : larger(first, second), cost);
    case "value":
    case "optional.of":
    case "optional.ofNonZeroValue":
    case "dyn":
      return withCost(first, cost);
    case "matches":
    case "find":
    case "findAll": {
      const pattern = second?.size ?? 1;
      const worked = cost + Math.ceil((first.size + 1) / 10) * Math.ceil((pattern + 1) / 4);
      const text: Estimate = { cost: 1, size: first.size };
      if (name === "matches") return { cost: worked, size: 1 };
      return name === "find"
        ? { ...text, cost: worked }
        : { cost: worked, size: first.size + 1, element: text };
    }
    case "replace": {
      const size = (first.size + 1) * Math.max(1, third?.size ?? 1);
      return { cost: cost + Math.ceil(size / 10), size };
    }
    case "join": {
      const size = first.size * ((first.element?.size ?? 0) + (second?.size ?? 0));
      return { cost: cost + Math.ceil(size / 10), size };
    }
    case "split":
      return {
        cost: cost + Math.ceil(first.size / 10),
        size: first.size + 1,
        element: { cost: 1, size: first.size },
      };
    case "format": {
      const size =
        first.size * Math.max(10, (second?.element?.size ?? 1) * (second?.element?.element?.size ?? 1));
      return { cost: cost + Math.ceil(size / 10), size };
    }
    case "indexOf":
    case "lastIndexOf":
      return {
        cost: cost + Math.ceil(volume(first) / 10) * Math.max(1, Math.ceil((second?.size ?? 1) / 10)),
        size: 1,
      };
    default: {
      const looked = linear.has(name)
        ? Math.ceil(parameters.reduce((total, parameter) => total + volume(parameter), 0) / 10)
        : 0;
      const sized = ["string", "bytes", "list"].includes(type.kind) ? first : { size: 1 };
      return {
        ...sized,
        size: name === "strings.quote" ? first.size * 2 + 2 : sized.size,
        cost: cost + looked,
      };
    }
  }
}

function within<T>(estimator: Estimator, name: string, estimate: Estimate, body: () => T): T {
  estimator.locals.push([name, estimate]);
  const result = body();
  estimator.locals.pop();
  return result;
}

function comprehension(estimator: Estimator, node: Comprehension, type: Type): Estimate {
  const range = estimateNode(estimator, node.range);
  const isMap = estimator.checked.typeOf(node.range).kind === "map";
  const item: Estimate = isMap ? { cost: 1, size: estimator.text } : (range.element ?? { cost: 1, size: 1 });
  return within(estimator, node.variable, withCost(item, 1), () => {
    const predicate = node.predicate === undefined ? 0 : estimateNode(estimator, node.predicate).cost;
    const transform = node.transform === undefined ? item : estimateNode(estimator, node.transform);
    const step = 1 + predicate + (node.transform === undefined ? 1 : transform.cost);
    const cost = range.cost + 1 + range.size * step;
    return type.kind === "list"
      ? { cost, size: range.size, element: withCost(transform, 1) }
      : { cost, size: 1 };
  });
}

function estimateNode(estimator: Estimator, node: Expression): Estimate {
  const type = estimator.checked.typeOf(node);
  switch (node.kind) {
    case "literal":
      return {
        cost: 0,
        size: typeof node.value === "string" || node.value instanceof Uint8Array ? node.value.length : 1,
      };
    case "identifier": {
      const local = estimator.locals.findLast(([name]) => name === node.name)?.[1];
      return local === undefined ? assumed(estimator, type) : withCost(local, 1);
    }
    case "select": {
      const operand = estimateNode(estimator, node.operand);
      if (node.presence) return { cost: operand.cost + 1, size: 1 };
      const known = type.kind === "dyn" ? operand.element : undefined;
      return withCost(known ?? assumed(estimator, type), operand.cost + 1);
    }
    case "call":
      return call(estimator, node, type);
    case "list":
    case "map": {
      const parts = node.kind === "list" ? node.elements : node.entries;
      const estimates = parts.map(({ value }) => estimateNode(estimator, value));
      const keys = node.kind === "list" ? [] : node.entries.map(({ key }) => estimateNode(estimator, key));
      const cost = [...estimates, ...keys].reduce((total, { cost }) => total + cost, 10);
      const element = estimates.reduce((most, estimate) => larger(most, estimate), { cost: 1, size: 0 });
      return { cost, size: parts.length, element: withCost(element, 1) };
    }
    case "comprehension":
      return comprehension(estimator, node, type);
    case "optionalMap": {
      const target = estimateNode(estimator, node.target);
      return within(estimator, node.variable, withCost(target, 1), () => {
        const body = estimateNode(estimator, node.body);
        return withCost(body, target.cost + body.cost + 3);
      });
    }
    default:
      return { cost: 0, size: 1 };
  }
}

/**
 * The worst case cost of an expression whose variables are as large as the environment assumes; about one unit for each operation and one
 * for every ten characters or elements looked at. It grows by multiplication with nested comprehensions, which bounds them.
 */
export function estimateCost(root: Expression, checked: Checked, environment: CelEnvironment): number {
  const estimator: Estimator = {
    checked,
    text: environment.maximumLength ?? assumedText,
    aggregate: Math.min(environment.maximumLength ?? assumedAggregate, assumedAggregate),
    locals: [],
  };
  const { cost } = estimateNode(estimator, root);
  return Number.isFinite(cost) ? Math.ceil(cost) : Number.MAX_SAFE_INTEGER;
}
