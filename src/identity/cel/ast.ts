import type { Value } from "./values.ts";

interface Node {
  /** Unique within an expression; the checker records types by it. */
  readonly id: number;
  /** UTF-16 index of the place that problems are reported at. */
  readonly offset: number;
}

export type Macro = "all" | "exists" | "exists_one" | "map" | "filter";

export interface Literal extends Node {
  readonly kind: "literal";
  readonly value: Value;
}

export interface Identifier extends Node {
  readonly kind: "identifier";
  readonly name: string;
}

export interface Select extends Node {
  readonly kind: "select";
  readonly operand: Expression;
  readonly field: string;
  /** `has(operand.field)` asks whether the field is there. */
  readonly presence: boolean;
}

export interface Call extends Node {
  readonly kind: "call";
  readonly name: string;
  readonly target: Expression | undefined;
  readonly arguments: readonly Expression[];
}

export interface ListLiteral extends Node {
  readonly kind: "list";
  readonly elements: readonly { readonly value: Expression; readonly optional: boolean }[];
}

export interface MapLiteral extends Node {
  readonly kind: "map";
  readonly entries: readonly {
    readonly key: Expression;
    readonly value: Expression;
    readonly optional: boolean;
  }[];
}

/** `name{field: value}`; no message types exist here, so it never passes the checker. */
export interface MessageLiteral extends Node {
  readonly kind: "message";
  readonly name: string;
}

export interface Comprehension extends Node {
  readonly kind: "comprehension";
  readonly macro: Macro;
  readonly range: Expression;
  readonly variable: string;
  /** The place of the variable. */
  readonly variableOffset: number;
  readonly predicate: Expression | undefined;
  readonly transform: Expression | undefined;
}

/** `target.optMap(variable, body)`; a `flat` body is optional itself. */
export interface OptionalMap extends Node {
  readonly kind: "optionalMap";
  readonly flat: boolean;
  readonly target: Expression;
  readonly variable: string;
  readonly body: Expression;
}

/** Stands for what could not be parsed; a problem was reported. */
export interface Broken extends Node {
  readonly kind: "broken";
}

export type Expression =
  | Literal
  | Identifier
  | Select
  | Call
  | ListLiteral
  | MapLiteral
  | MessageLiteral
  | Comprehension
  | OptionalMap
  | Broken;

/** The expressions directly inside another. */
export function childrenOf(node: Expression): readonly Expression[] {
  switch (node.kind) {
    case "select":
      return [node.operand];
    case "call":
      return node.target === undefined ? node.arguments : [node.target, ...node.arguments];
    case "list":
      return node.elements.map((element) => element.value);
    case "map":
      return node.entries.flatMap((entry) => [entry.key, entry.value]);
    case "comprehension":
      return [node.range, node.predicate, node.transform].filter((child) => child !== undefined);
    case "optionalMap":
      return [node.target, node.body];
    default:
      return [];
  }
}
