import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { CelType } from "./cel.ts";
import { compileCel } from "./compile-cel.ts";
import { CelCompileError, CelEvaluationError } from "./errors.ts";
import { bindings, environment } from "./testing/golden.ts";

function reportOf(expression: string, homogeneousAggregates = false): string {
  try {
    compileCel(expression, { ...environment, homogeneousAggregates });
  } catch (error) {
    assert.ok(error instanceof CelCompileError);
    return error.message;
  }
  return assert.fail(`${expression} compiled`);
}

function errorOf(expression: string, deadlineMilliseconds?: number, now?: () => number): string {
  const program = compileCel(expression, environment);
  try {
    program.evaluate(bindings, {
      ...(deadlineMilliseconds === undefined ? {} : { deadlineMilliseconds }),
      ...(now === undefined ? {} : { now }),
    });
  } catch (error) {
    assert.ok(error instanceof CelEvaluationError);
    return error.message;
  }
  return assert.fail(`${expression} has a value`);
}

describe("reports of contract/supervisor.md 3.2", () => {
  test("a trailing token", () => {
    assert.equal(
      reportOf("this is not a valid cel expression"),
      [
        "ERROR: <input>:1:6: Syntax error: mismatched input 'is' expecting <EOF>",
        " | this is not a valid cel expression",
        " | .....^",
      ].join("\n"),
    );
  });

  test("an unknown name and an unknown function are two reports, the second at the parenthesis", () => {
    assert.equal(
      reportOf("foobar.junk()"),
      [
        "ERROR: <input>:1:1: undeclared reference to 'foobar' (in container '')",
        " | foobar.junk()",
        " | ^",
        "ERROR: <input>:1:12: undeclared reference to 'junk' (in container '')",
        " | foobar.junk()",
        " | ...........^",
      ].join("\n"),
    );
  });

  test("mixed literals are refused only where literals must be homogeneous", () => {
    const expression = 'groups.all(g, g in ["admins", 1])';
    assert.match(
      reportOf(expression, true),
      /^ERROR: <input>:1:31: expected type 'string' but found 'int'\n/u,
    );
    assert.equal(compileCel(expression, environment).outputTypeText, "bool");
    assert.match(reportOf('{"a": dyn(1), "b": "a"}', true), /expected type 'dyn' but found 'string'/u);
  });

  test("lines and columns count code points, and the caret stays below its character", () => {
    assert.equal(
      reportOf("'日😀' +\n  ('é' + x)"),
      [
        "ERROR: <input>:2:10: undeclared reference to 'x' (in container '')",
        " |   ('é' + x)",
        " | ....．....^",
      ].join("\n"),
    );
  });

  test("issues hold the parts of the report", () => {
    assert.throws(
      () => compileCel("x + y", environment),
      (error: unknown) => {
        assert.ok(error instanceof CelCompileError);
        assert.deepEqual(error.issues, [
          { line: 1, column: 1, text: "undeclared reference to 'x' (in container '')" },
          { line: 1, column: 5, text: "undeclared reference to 'y' (in container '')" },
        ]);
        return true;
      },
    );
  });

  test("an invalid constant pattern is refused while the program is built", () => {
    assert.throws(() => compileCel("username.matches('(')", environment), {
      phase: "program",
      message: "error parsing regexp: missing closing ): `(`",
    });
  });

  test("only the offered libraries are known", () => {
    for (const name of [
      "base64.encode('a')",
      "math.greatest(1, 2)",
      "sets.contains([1], [1])",
      "ip('::1')",
      "url('https://a')",
    ]) {
      assert.match(reportOf(name), /undeclared reference to/u, name);
    }
  });
});

describe("programs", () => {
  const typed = (expression: string): string => compileCel(expression, environment).outputTypeText;

  test("the type of the result is exact", () => {
    assert.equal(typed("groups.map(g, g + 'x')"), "list(string)");
    assert.equal(typed("claims.email"), "dyn");
    assert.equal(typed("null"), "null_type");
    assert.equal(typed("{'a': 1}"), "map(string, int)");
    assert.equal(typed("claims.?email"), "optional_type(dyn)");
  });

  test("results are plain data", () => {
    const value = (expression: string): unknown => compileCel(expression, environment).evaluate(bindings);
    assert.deepEqual(value("[size(groups)]"), [3n]);
    assert.deepEqual(value("{'a': [1u]}"), new Map([["a", [1n]]]));
    assert.deepEqual(value("claims.m"), new Map([["k", "v"]]));
    assert.equal(value("claims.nul"), null);
  });

  test("objects have known fields only, and an absent one is an error", () => {
    const user: CelType = {
      kind: "object",
      name: "kubernetes.UserInfo",
      fields: { username: { kind: "string" }, uid: { kind: "string" } },
    };
    const compiled = compileCel("has(user.uid) ? user.uid : user.username", { variables: { user } });
    assert.equal(compiled.evaluate({ user: { username: "jane" } }), "jane");
    assert.throws(
      () => compileCel("user.uid", { variables: { user } }).evaluate({ user: {} }),
      /^CelEvaluationError: no such key: uid$/u,
    );
    assert.throws(() => compileCel("user.password", { variables: { user } }), /undefined field 'password'/u);
  });

  test("a claim named like a property of every object is not there", () => {
    assert.equal(errorOf("claims.constructor"), "no such key: constructor");
    assert.equal(errorOf("claims.__proto__"), "no such key: __proto__");
    assert.equal(compileCel("has(claims.toString)", environment).evaluate(bindings), false);
  });

  test("a variable without a binding is an error", () => {
    const program = compileCel("username", environment);
    assert.throws(() => program.evaluate({}), { message: "no such attribute(s): username" });
  });
});

describe("references (S3)", () => {
  const references = (expression: string): readonly string[] =>
    compileCel(expression, environment).references;

  test("fields are found however they are written", () => {
    for (const expression of [
      "claims.email",
      "claims['email']",
      "claims.?email",
      "claims[?'email']",
      "has(claims.email)",
      ".claims.email",
    ]) {
      assert.deepEqual(references(expression), ["claims.email"], expression);
    }
    assert.deepEqual(references("claims.m.k + claims.m['z']"), ["claims.m.k", "claims.m.z"]);
  });

  test("a computed key reads the whole variable", () => {
    assert.deepEqual(references("claims[username]"), ["claims", "username"]);
    assert.deepEqual(references("claims.all(c, c != '')"), ["claims"]);
  });

  test("a comprehension's own variable is none, even when it has a variable's name", () => {
    assert.deepEqual(references("[{'email': 1}].map(claims, claims.email)"), []);
    assert.deepEqual(references("[1].map(username, .username)"), ["username"]);
    assert.deepEqual(compileCel("[1].map(username, .username)", environment).evaluate(bindings), ["alice"]);
    assert.deepEqual(references("claims.?m.optMap(x, x.k)"), ["claims.m"]);
  });
});

describe("limits", () => {
  const nested = (depth: number): string =>
    Array.from({ length: depth }).reduce<string>(
      (inner, _, index) => `[1,2,3,4,5,6,7,8,9,10].map(x${index}, ${inner})`,
      "1",
    );

  test("an expression that is too long, nested or expensive is refused before it runs", () => {
    assert.match(reportOf("a".repeat(10_241)), /size exceeds limit: size: 10241, limit 10240$/u);
    assert.match(reportOf("(".repeat(3000) + "1" + ")".repeat(3000)), /recursion limit exceeded/u);
    assert.match(reportOf(`1${"+1".repeat(3000)}`), /max recursion depth exceeded/u);
    assert.match(reportOf(`claims${".a".repeat(3000)}`), /max recursion depth exceeded/u);
    assert.match(reportOf(nested(8)), /estimated cost of the expression exceeds the limit of 10000000/u);
    assert.match(
      reportOf("groups.map(a, groups.map(b, groups.map(c, groups.map(d, a + b + c + d))))"),
      /estimated cost/u,
    );
    assert.throws(() => compileCel("username", { ...environment, maximumCost: 0 }), /estimated cost/u);
    assert.throws(() => compileCel("username", { ...environment, maximumCharacters: 3 }), /limit 3$/u);
  });

  test("the deadline ends a loop, and no operator hides that", () => {
    let milliseconds = 0;
    const clock = (): number => (milliseconds += 10);
    const loop = `${nested(4)} == []`;
    assert.equal(errorOf(loop, 50, clock), "operation interrupted");
    assert.equal(errorOf(`${loop} || true`, 50, clock), "operation interrupted");
    assert.equal(errorOf(`[1].exists(x, ${loop}) || true`, 50, clock), "operation interrupted");
  });

  test("doubling a text over and over ends at the budget", () => {
    const doubled = Array.from({ length: 20 }).reduce<string>(
      (inner) => `[${inner}].map(x, x + x)[0]`,
      "'0123456789'",
    );
    assert.equal(errorOf(doubled), "operation cancelled: actual cost limit exceeded");
    const huge = { ...bindings, claims: { text: "a".repeat(100_000) } };
    for (const expression of [
      "claims.text.replace('', claims.text)",
      "claims.text.split('').map(x, claims.text).join()",
    ]) {
      assert.throws(() => compileCel(expression, environment).evaluate(huge), {
        message: "operation cancelled: actual cost limit exceeded",
      });
    }
  });

  test("a pattern that backtracks elsewhere takes linear time", () => {
    const program = compileCel("claims.text.matches('^(a|aa)+$')", environment);
    const started = performance.now();
    assert.equal(program.evaluate({ claims: { text: `${"a".repeat(20_000)}b` } }), false);
    assert.ok(performance.now() - started < 5000);
  });
});
