import type { Expression } from "./ast.ts";
import {
  calculations,
  expressionFirst,
  memberFirst,
  optionalFirst,
  products,
  relations,
  sums,
} from "./grammar-sets.ts";
import { tokenize } from "./lexer.ts";
import { createNodeBuilder } from "./nodes.ts";
import { callArguments, escapedIdentifier, primary, type Grammar } from "./primary.ts";
import { Abandoned, createRecognizer, next, nextOrEnd, type Next } from "./recognizer.ts";
import type { CelSource } from "./source.ts";
import type { TokenName } from "./tokens.ts";

/** As cel-go: longer chains of operators, calls and selections are refused. */
const maximumChain = 250;
/** Brackets in brackets: cel-go has 250, but each costs some twenty frames of the stack here. */
const maximumNesting = 100;

function expression(g: Grammar, depth: { now: number }, follow: Next): Expression {
  if (++depth.now > maximumNesting) {
    g.nodes.problem(-1, `expression recursion limit exceeded: ${maximumNesting}`);
    throw new Abandoned();
  }
  const { recognizer, nodes } = g;
  const result = recognizer.rule(
    "expr",
    follow,
    () => {
      const condition = conditionalOr(g, nextOrEnd("'?'"));
      if (recognizer.peek() !== "'?'") return condition;
      const operator = recognizer.take();
      const yes = conditionalOr(g, next("':'"));
      recognizer.match("':'", next(...expressionFirst));
      const no = g.expression(nextOrEnd());
      return nodes.call(operator.offset, "_?_:_", undefined, [condition, yes, no]);
    },
    () => nodes.broken(),
  );
  depth.now--;
  return result;
}

/** `a || b || c` and `a && b && c`, each one call with as many arguments as there are terms. */
function logical(
  g: Grammar,
  follow: Next,
  symbol: TokenName,
  name: string,
  term: (follow: Next) => Expression,
): Expression {
  const { recognizer, nodes } = g;
  return recognizer.rule(
    name,
    follow,
    () => {
      const first = term(nextOrEnd(symbol));
      if (recognizer.peek() !== symbol) return first;
      const terms = [first];
      const { offset } = recognizer.token();
      while (recognizer.peek() === symbol) {
        recognizer.take();
        terms.push(term(nextOrEnd(symbol)));
      }
      return nodes.call(offset, name, undefined, terms);
    },
    () => nodes.broken(),
  );
}

function conditionalOr(g: Grammar, follow: Next): Expression {
  return logical(g, follow, "'||'", "_||_", (inner) => conditionalAnd(g, inner));
}

function conditionalAnd(g: Grammar, follow: Next): Expression {
  return logical(g, follow, "'&&'", "_&&_", (inner) => relation(g, inner, 1));
}

function relation(g: Grammar, follow: Next, precedence: number): Expression {
  const { recognizer, nodes } = g;
  return recognizer.rule(
    "relation",
    follow,
    () => {
      let left = calculation(g, nextOrEnd(...relations), 1);
      if (precedence > 1) return left;
      while (relations.includes(recognizer.peek())) {
        const operator = recognizer.take();
        const right = relation(g, nextOrEnd(...relations), 2);
        left = nodes.call(operator.offset, operator.text === "in" ? "@in" : `_${operator.text}_`, undefined, [
          left,
          right,
        ]);
      }
      return left;
    },
    () => nodes.broken(),
  );
}

function calculation(g: Grammar, follow: Next, precedence: number): Expression {
  const { recognizer, nodes } = g;
  return recognizer.rule(
    "calc",
    follow,
    () => {
      let left = unary(g, nextOrEnd(...calculations));
      for (;;) {
        const name = recognizer.peek();
        const strength = products.includes(name) ? 2 : sums.includes(name) ? 1 : 0;
        if (strength === 0 || strength < precedence) return left;
        const operator = recognizer.take();
        const right = calculation(g, nextOrEnd(...calculations), strength + 1);
        left = nodes.call(operator.offset, `_${operator.text}_`, undefined, [left, right]);
      }
    },
    () => nodes.broken(),
  );
}

function unary(g: Grammar, follow: Next): Expression {
  const { recognizer, nodes } = g;
  const repeated = (symbol: TokenName, name: string): Expression => {
    const { offset } = recognizer.token();
    let count = 0;
    do {
      recognizer.take();
      count++;
      recognizer.syncLoop(next(symbol, ...memberFirst));
      if (symbol === "'-'" && recognizer.peek() === symbol && !memberFirst.includes(recognizer.peek(2)))
        recognizer.noAlternative(2);
    } while (recognizer.peek() === symbol);
    const operand = member(g, nextOrEnd());
    return count % 2 === 0 ? operand : nodes.call(offset, name, undefined, [operand]);
  };
  return recognizer.rule(
    "unary",
    follow,
    () => {
      recognizer.sync(next(...expressionFirst));
      const first = recognizer.peek();
      if (first === "'!'") return repeated("'!'", "!_");
      if (first !== "'-'") {
        if (!memberFirst.includes(first)) recognizer.noAlternative(1);
        return member(g, nextOrEnd());
      }
      const second = recognizer.peek(2);
      if (second === "NUM_INT" || second === "NUM_FLOAT") return member(g, nextOrEnd());
      if (!memberFirst.includes(second)) recognizer.noAlternative(2);
      return repeated("'-'", "-_");
    },
    () => nodes.broken(),
  );
}

function member(g: Grammar, follow: Next): Expression {
  const { recognizer, nodes } = g;
  const after = nextOrEnd("'.'", "'['");
  const select = (operand: Expression): Expression => {
    const dot = recognizer.take();
    const optional = recognizer.peek() === "'?'";
    if (optional) recognizer.take();
    const { offset } = recognizer.token();
    const name = escapedIdentifier(g, after);
    if (name === undefined) nodes.problem(offset, "unsupported ident kind");
    return name === undefined ? nodes.broken() : nodes.select(dot.offset, operand, name, optional);
  };
  const call = (target: Expression): Expression => {
    recognizer.take();
    const name = recognizer.take();
    const open = recognizer.take();
    const made = nodes.call(open.offset, name.text, target, callArguments(g));
    recognizer.match("')'", after);
    return made;
  };
  return recognizer.rule(
    "member",
    follow,
    () => {
      let operand = primary(g, after);
      for (;;) {
        const first = recognizer.peek();
        if (first === "'['") {
          const open = recognizer.take();
          recognizer.sync(next(...optionalFirst));
          const optional = recognizer.peek() === "'?'";
          if (optional) recognizer.take();
          const index = g.expression(next("']'"));
          recognizer.match("']'", after);
          operand = nodes.call(open.offset, optional ? "_[?_]" : "_[_]", undefined, [operand, index]);
          continue;
        }
        if (first !== "'.'") return operand;
        const second = recognizer.peek(2);
        if (second !== "'?'" && second !== "IDENTIFIER" && second !== "ESC_IDENTIFIER")
          recognizer.noAlternative(2);
        operand = second === "IDENTIFIER" && recognizer.peek(3) === "'('" ? call(operand) : select(operand);
      }
    },
    () => nodes.broken(),
  );
}

/** Parses an expression and expands its macros. Problems go to the source's report; the result is usable only if there are none. */
export function parse(source: CelSource, newId: () => number): Expression {
  const report = (offset: number, text: string): void => source.report(offset, text);
  const nodes = createNodeBuilder(report, newId, maximumChain);
  const recognizer = createRecognizer(source.text, tokenize(source.text, report), report);
  const depth = { now: 0 };
  const g: Grammar = { recognizer, nodes, expression: (follow) => expression(g, depth, follow) };
  try {
    return recognizer.rule(
      "start",
      nextOrEnd(),
      () => {
        const found = g.expression(next("<EOF>"));
        recognizer.match("<EOF>", nextOrEnd());
        return found;
      },
      () => nodes.broken(),
    );
  } catch (error) {
    if (!(error instanceof Abandoned)) throw error;
    return nodes.broken();
  }
}
