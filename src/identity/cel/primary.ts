import type { Expression } from "./ast.ts";
import { expressionFirst, literalFirst, memberFirst, optionalFirst } from "./grammar-sets.ts";
import type { NodeBuilder } from "./nodes.ts";
import { next, nextOrEnd, type Next, type Recognizer } from "./recognizer.ts";
import type { Token, TokenName } from "./tokens.ts";

interface OptionalPart {
  readonly optional: boolean;
  readonly value: Expression;
}

/** What the rules of the grammar share. */
export interface Grammar {
  readonly recognizer: Recognizer;
  readonly nodes: NodeBuilder;
  /** The rule for a whole expression. */
  readonly expression: (follow: Next) => Expression;
}

/** A field name after a dot. */
export function escapedIdentifier(g: Grammar, follow: Next): Token | undefined {
  const { recognizer } = g;
  return recognizer.rule(
    "escapeIdent",
    follow,
    () => {
      recognizer.sync(next("IDENTIFIER", "ESC_IDENTIFIER"));
      const name = recognizer.peek();
      if (name !== "IDENTIFIER" && name !== "ESC_IDENTIFIER") recognizer.noAlternative(1);
      return recognizer.take();
    },
    () => undefined,
  );
}

/** The arguments of a call, up to the closing parenthesis. */
export function callArguments(g: Grammar): readonly Expression[] {
  const { recognizer } = g;
  recognizer.sync(next("')'", ...expressionFirst));
  if (!expressionFirst.includes(recognizer.peek())) return [];
  return recognizer.rule(
    "exprList",
    next("')'"),
    () => {
      const found = [g.expression(nextOrEnd("','"))];
      while (recognizer.peek() === "','") {
        recognizer.take();
        found.push(g.expression(nextOrEnd("','")));
      }
      return found;
    },
    () => [],
  );
}

function optionalExpression(g: Grammar, follow: Next): OptionalPart {
  const { recognizer, nodes } = g;
  return recognizer.rule(
    "optExpr",
    follow,
    () => {
      recognizer.sync(next(...optionalFirst));
      const optional = recognizer.peek() === "'?'";
      if (optional) recognizer.take();
      return { optional, value: g.expression(nextOrEnd()) };
    },
    () => ({ optional: false, value: nodes.broken() }),
  );
}

/** The inside of `[...]` or `{...}` up to the closing bracket, a trailing comma included. */
function aggregate<T>(
  g: Grammar,
  rule: string,
  first: readonly TokenName[],
  close: TokenName,
  part: () => T,
): readonly T[] {
  const { recognizer } = g;
  recognizer.sync(next("','", close, ...first));
  let parts: readonly T[] = [];
  if (first.includes(recognizer.peek())) {
    parts = recognizer.rule(
      rule,
      next("','", close),
      () => {
        const found = [part()];
        while (recognizer.peek() === "','" && first.includes(recognizer.peek(2))) {
          recognizer.take();
          found.push(part());
        }
        return found;
      },
      () => [],
    );
  }
  recognizer.sync(next("','", close));
  if (recognizer.peek() === "','") recognizer.take();
  recognizer.match(close, nextOrEnd());
  return parts;
}

/** `a.b.c{`: how many tokens lie before the brace, or 0 when this is no message literal. */
function messageNameLength(recognizer: Recognizer): number {
  let distance = recognizer.peek() === "'.'" ? 2 : 1;
  while (recognizer.peek(distance) === "IDENTIFIER") {
    if (recognizer.peek(distance + 1) === "'{'") return distance;
    if (recognizer.peek(distance + 1) !== "'.'") return 0;
    distance += 2;
  }
  return 0;
}

function message(g: Grammar, length: number): Expression {
  const { recognizer, nodes } = g;
  const name = Array.from({ length }, () => recognizer.take().text).join("");
  const open = recognizer.take();
  aggregate(g, "fieldInitializerList", ["'?'", "IDENTIFIER", "ESC_IDENTIFIER"], "'}'", () => {
    if (recognizer.peek() === "'?'") recognizer.take();
    escapedIdentifier(g, next("':'"));
    recognizer.match("':'", next(...expressionFirst));
    return g.expression(nextOrEnd("','"));
  });
  return nodes.message(open.offset, name);
}

/** A name, call, literal, list, map or expression in parentheses. */
export function primary(g: Grammar, follow: Next): Expression {
  const { recognizer, nodes } = g;
  return recognizer.rule(
    "primary",
    follow,
    () => {
      recognizer.sync(next(...memberFirst));
      const first = recognizer.peek();
      switch (first) {
        case "'('": {
          recognizer.take();
          const inner = g.expression(next("')'"));
          recognizer.match("')'", nextOrEnd());
          return inner;
        }
        case "'['": {
          const open = recognizer.take();
          const elements = aggregate(g, "listInit", optionalFirst, "']'", () =>
            optionalExpression(g, nextOrEnd("','")),
          );
          return nodes.list(open.offset, elements);
        }
        case "'{'": {
          const open = recognizer.take();
          const entries = aggregate(g, "mapInitializerList", optionalFirst, "'}'", () => {
            const key = optionalExpression(g, next("':'"));
            recognizer.match("':'", next(...expressionFirst));
            return { key: key.value, optional: key.optional, value: g.expression(nextOrEnd("','")) };
          });
          return nodes.map(open.offset, entries);
        }
        case "'.'":
        case "IDENTIFIER": {
          if (first === "'.'" && recognizer.peek(2) !== "IDENTIFIER") recognizer.noAlternative(2);
          const length = messageNameLength(recognizer);
          if (length > 0) return message(g, length);
          const start = recognizer.token();
          if (first === "'.'") recognizer.take();
          const name = recognizer.take();
          if (recognizer.peek() !== "'('") return nodes.identifier(name, start, first === "'.'");
          const open = recognizer.take();
          if (!nodes.isAllowed(name, start)) {
            callArguments(g);
            recognizer.match("')'", nextOrEnd());
            return nodes.broken();
          }
          // Made before the parenthesis is looked for, as what is wrong with a macro's arguments is told in any case.
          const made = nodes.globalCall(open, name, start, callArguments(g));
          recognizer.match("')'", nextOrEnd());
          return made;
        }
        default:
          return literal(g);
      }
    },
    () => nodes.broken(),
  );
}

function literal(g: Grammar): Expression {
  const { recognizer, nodes } = g;
  if (!literalFirst.includes(recognizer.peek())) recognizer.noAlternative(1);
  const signed = recognizer.peek() === "'-'";
  if (signed && !["NUM_INT", "NUM_FLOAT"].includes(recognizer.peek(2))) recognizer.noAlternative(2);
  const sign = signed ? recognizer.take() : undefined;
  return nodes.literal(sign, recognizer.take());
}
