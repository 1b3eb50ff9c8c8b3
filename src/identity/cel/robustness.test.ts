import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { CelInput } from "./cel.ts";
import { compileCel } from "./compile-cel.ts";
import { CelCompileError, CelEvaluationError } from "./errors.ts";
import { bindings, environment, readGolden } from "./testing/golden.ts";

/** Compiles and runs; anything but the two documented errors fails the test. */
function attempt(expression: string, data: Readonly<Record<string, CelInput>> = bindings): void {
  try {
    compileCel(expression, { ...environment, maximumCost: 100_000 }).evaluate(data);
  } catch (error) {
    if (error instanceof CelCompileError) assert.ok(error.issues.length > 0);
    else if (!(error instanceof CelEvaluationError) || error.message === "internal error") throw error;
  }
}

const fragments = [
  ...Array.from("()[]{}.,?:+-*/%!<>=&|'\"`\\ \n"),
  ...[
    "&&",
    "||",
    "==",
    "!=",
    "<=",
    ">=",
    " in ",
    "1",
    "2u",
    "0.5",
    "'a'",
    "b'a'",
    "r'",
    '"""',
    "null",
    "true",
    "for",
  ],
  ...[
    "username",
    "groups",
    "claims",
    "x",
    ".?",
    "[?",
    "{?",
    ".map(x, ",
    ".all(x, ",
    ".size()",
    "has(",
    "dyn(",
    "optional.of(",
  ],
];

test("random text gives a value or one of the two errors", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 60 }), (text) => attempt(text)),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...fragments), { maxLength: 25 }), (parts) =>
      attempt(parts.join("")),
    ),
    { numRuns: 3000 },
  );
});

test("expressions of the table with a character changed give a value or one of the two errors", () => {
  const expressions = readGolden().map((row) => row.expression);
  fc.assert(
    fc.property(
      fc.constantFrom(...expressions),
      fc.nat(),
      fc.constantFrom(...fragments, ""),
      (expression, place, fragment) => {
        const at = expression === "" ? 0 : place % expression.length;
        attempt(expression.slice(0, at) + fragment + expression.slice(at + 1));
      },
    ),
    { numRuns: 2000 },
  );
});

test("claims of any shape give a value or an evaluation error", () => {
  const expressions = readGolden()
    .map((row) => row.expression)
    .filter((expression) => expression.includes("claims"));
  fc.assert(
    fc.property(
      fc.constantFrom(...expressions),
      fc.jsonValue(),
      fc.jsonValue(),
      (expression, first, second) => {
        attempt(expression, {
          ...bindings,
          claims: {
            email: first as CelInput,
            n: second as CelInput,
            roles: first as CelInput,
            m: second as CelInput,
          },
        });
      },
    ),
    { numRuns: 1000 },
  );
});
