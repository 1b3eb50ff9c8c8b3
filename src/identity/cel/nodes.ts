import type { Call, Expression, ListLiteral, Macro, MapLiteral } from "./ast.ts";
import { parseBytesLiteral, parseInteger, parseStringLiteral } from "./literals.ts";
import { Abandoned } from "./recognizer.ts";
import type { Token } from "./tokens.ts";
import { CelUint, isInt64, isUint64, type Value } from "./values.ts";

/** Words that are no names of variables or functions, though fields may have them. */
const reserved = new Set(
  "as break const continue else false for function if import in let loop package namespace null return true var void while".split(
    " ",
  ),
);

const macros: Readonly<Record<string, Macro>> = {
  all: "all",
  exists: "exists",
  exists_one: "exists_one",
  filter: "filter",
  map: "map",
};

export interface NodeBuilder {
  problem(offset: number, text: string): void;
  broken(): Expression;
  /** Whether a name may be a variable or function; a reserved one is reported. */
  isAllowed(name: Token, start: Token): boolean;
  literal(sign: Token | undefined, token: Token): Expression;
  identifier(name: Token, start: Token, absolute: boolean): Expression;
  select(offset: number, operand: Expression, name: Token, optional: boolean): Expression;
  globalCall(open: Token, name: Token, start: Token, parameters: readonly Expression[]): Expression;
  call(
    offset: number,
    name: string,
    target: Expression | undefined,
    parameters: readonly Expression[],
  ): Expression;
  list(offset: number, elements: ListLiteral["elements"]): Expression;
  map(offset: number, entries: MapLiteral["entries"]): Expression;
  message(offset: number, name: string): Expression;
}

/** Makes nodes, expands macros and refuses what the grammar lets through: reserved words, numbers out of range, too much depth. */
export function createNodeBuilder(
  report: (offset: number, text: string) => void,
  newId: () => number,
  maximumDepth: number,
): NodeBuilder {
  const depths = new WeakMap<Expression, number>();
  const depthOf = (node: Expression): number => depths.get(node) ?? 0;

  const made = <T extends Expression>(node: T, children: readonly Expression[] = []): T => {
    const depth = children.reduce((deepest, child) => Math.max(deepest, depthOf(child)), 0) + 1;
    if (depth > maximumDepth) {
      report(-1, "max recursion depth exceeded");
      throw new Abandoned();
    }
    depths.set(node, depth);
    return node;
  };
  const broken = (): Expression => made({ kind: "broken", id: newId(), offset: -1 });
  const refused = (offset: number, text: string): Expression => {
    report(offset, text);
    return broken();
  };
  const constant = (offset: number, value: Value): Expression =>
    made({ kind: "literal", id: newId(), offset, value });

  const comprehension = (
    offset: number,
    macro: Macro,
    range: Expression,
    parameters: readonly Expression[],
  ): Expression | undefined => {
    const [name, first, second] = parameters;
    if (name === undefined || first === undefined) return undefined;
    if (parameters.length > (macro === "map" ? 3 : 2)) return undefined;
    if (name.kind !== "identifier") {
      if (name.kind === "broken") return broken();
      const quantifier = macro === "all" || macro === "exists" || macro === "exists_one";
      return refused(
        name.offset,
        quantifier ? "argument must be a simple name" : "argument is not an identifier",
      );
    }
    if (name.name === "__result__")
      return refused(name.offset, "iteration variable overwrites accumulator variable");
    const transform = macro === "map" ? (second ?? first) : undefined;
    const predicate = macro === "map" && second === undefined ? undefined : first;
    return made(
      {
        kind: "comprehension",
        id: newId(),
        offset,
        macro,
        range,
        variable: name.name,
        variableOffset: name.offset,
        predicate,
        transform,
      },
      [range, ...parameters],
    );
  };

  const optionalMap = (
    offset: number,
    flat: boolean,
    target: Expression,
    parameters: readonly Expression[],
  ): Expression | undefined => {
    const [name, body] = parameters;
    if (name === undefined || body === undefined || parameters.length !== 2) return undefined;
    if (name.kind !== "identifier") {
      if (name.kind === "broken") return broken();
      return refused(
        name.offset,
        `${flat ? "optFlatMap" : "optMap"}() variable name must be a simple identifier`,
      );
    }
    return made({ kind: "optionalMap", id: newId(), offset, flat, target, variable: name.name, body }, [
      target,
      body,
    ]);
  };

  const expanded = (
    offset: number,
    name: string,
    target: Expression | undefined,
    parameters: readonly Expression[],
  ): Expression | undefined => {
    if (target === undefined) {
      const [operand] = parameters;
      if (name !== "has" || operand === undefined || parameters.length !== 1) return undefined;
      if (operand.kind === "broken") return operand;
      if (operand.kind !== "select") return refused(operand.offset, "invalid argument to has() macro");
      return made({ ...operand, id: newId(), offset, presence: true }, [operand.operand]);
    }
    if (name === "optMap" || name === "optFlatMap")
      return optionalMap(offset, name === "optFlatMap", target, parameters);
    const macro = Object.hasOwn(macros, name) ? macros[name] : undefined;
    return macro === undefined ? undefined : comprehension(offset, macro, target, parameters);
  };

  const call = (
    offset: number,
    name: string,
    target: Expression | undefined,
    parameters: readonly Expression[],
  ): Expression => {
    const macro = expanded(offset, name, target, parameters);
    if (macro !== undefined) return macro;
    const node: Call = { kind: "call", id: newId(), offset, name, target, arguments: parameters };
    return made(node, target === undefined ? parameters : [target, ...parameters]);
  };

  const isAllowed = (name: Token, start: Token): boolean => {
    if (!reserved.has(name.text)) return true;
    report(start.offset, `reserved identifier: ${name.text}`);
    return false;
  };

  return {
    problem: report,
    isAllowed,
    broken,
    call,
    literal(sign, token) {
      const text = (sign?.text ?? "") + token.text;
      const offset = (sign ?? token).offset;
      switch (token.name) {
        case "NUM_INT": {
          const value = parseInteger(text);
          return isInt64(value) ? constant(offset, value) : refused(offset, "invalid int literal");
        }
        case "NUM_UINT": {
          const value = parseInteger(text.slice(0, -1));
          return isUint64(value)
            ? constant(offset, new CelUint(value))
            : refused(offset, "invalid uint literal");
        }
        case "NUM_FLOAT": {
          const value = Number(text);
          return Number.isFinite(value) ? constant(offset, value) : refused(offset, "invalid double literal");
        }
        case "STRING":
        case "BYTES": {
          const parsed = token.name === "STRING" ? parseStringLiteral(text) : parseBytesLiteral(text);
          return "value" in parsed ? constant(offset, parsed.value) : refused(offset, parsed.reason);
        }
        default:
          return constant(offset, token.name === "'null'" ? null : token.name === "'true'");
      }
    },
    identifier(name, start, absolute) {
      if (!isAllowed(name, start)) return broken();
      return made({
        kind: "identifier",
        id: newId(),
        offset: name.offset,
        name: absolute ? `.${name.text}` : name.text,
      });
    },
    select(offset, operand, name, optional) {
      // `a-b` between backquotes names a field that is no identifier.
      const field = name.name === "ESC_IDENTIFIER" ? name.text.slice(1, -1) : name.text;
      if (!optional)
        return made({ kind: "select", id: newId(), offset, operand, field, presence: false }, [operand]);
      return call(offset, "_?._", undefined, [operand, constant(name.offset, field)]);
    },
    globalCall(open, name, start, parameters) {
      return call(open.offset, start === name ? name.text : `.${name.text}`, undefined, parameters);
    },
    list(offset, elements) {
      return made(
        { kind: "list", id: newId(), offset, elements },
        elements.map((element) => element.value),
      );
    },
    map(offset, entries) {
      return made(
        { kind: "map", id: newId(), offset, entries },
        entries.flatMap((entry) => [entry.key, entry.value]),
      );
    },
    message(offset, name) {
      return made({ kind: "message", id: newId(), offset, name });
    },
  };
}
