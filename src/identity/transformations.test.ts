import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { checkExamples } from "./transformation-examples.ts";
import { compileTransforms, DEFAULT_POLICY_MESSAGE, sortedUnique } from "./transformations.ts";
import type { Transformation, TransformExample, TransformExpression, Transforms } from "./transformations.ts";

function compiled(transforms: Transforms): Transformation {
  const { transformation, problems } = compileTransforms(transforms);
  assert.ok(transformation !== undefined, JSON.stringify(problems));
  return transformation;
}

const username = (expression: string): TransformExpression => ({ type: "username/v1", expression });
const groups = (expression: string): TransformExpression => ({ type: "groups/v1", expression });
const policy = (expression: string, message?: string): TransformExpression => ({
  type: "policy/v1",
  expression,
  ...(message === undefined ? {} : { message }),
});
const jane = { username: "jane", groups: ["b", "a", "b"] };

test("without expressions identities pass, groups sorted and each once", () => {
  assert.deepEqual(compiled({}).apply(jane), { identity: { username: "jane", groups: ["a", "b"] } });
  assert.deepEqual(compiled({}).apply({ username: "jane", groups: null }), {
    identity: { username: "jane", groups: [] },
  });
});

test("every result feeds the next, in the order of the list", () => {
  const transformation = compiled({
    constants: [
      { name: "prefix", type: "string", stringValue: "corp:" },
      { name: "dropped", type: "stringList", stringListValue: ["b"] },
    ],
    expressions: [
      username("strConst.prefix + username"),
      groups("groups.filter(g, !(g in strListConst.dropped)) + [username]"),
      username("username.upperAscii()"),
      policy('username == "CORP:JANE" && groups == ["a", "corp:jane"]'),
    ],
  });
  assert.deepEqual(transformation.apply(jane), {
    identity: { username: "CORP:JANE", groups: ["a", "corp:jane"] },
  });
});

test("the first policy that is false ends it, with its message or the default one", () => {
  const rejected = (...expressions: TransformExpression[]) => compiled({ expressions }).apply(jane).rejected;
  assert.equal(rejected(policy("true"), policy("false", "no"), policy("false", "never")), "no");
  assert.equal(rejected(policy("false")), DEFAULT_POLICY_MESSAGE);
  assert.equal(rejected(policy("false", "")), "authentication was rejected by a configured policy");
  assert.equal(rejected(policy("false", "no"), username('""')), "no");
  assert.equal(rejected(policy("true", "no")), undefined);
});

test("an error names its place, an empty username is never accepted", () => {
  const failing =
    (...expressions: TransformExpression[]) =>
    () =>
      compiled({ expressions }).apply(jane);
  assert.throws(failing(policy("true"), username("strConst.x")), {
    name: "TransformationError",
    message: "identity transformation at index 1: no such key: x",
  });
  assert.throws(failing(policy("1 / (size(groups) - 3) == 0")), {
    message: "identity transformation at index 0: division by zero",
  });
  for (const empty of ['""', '" \\t\\n"', '"\\u00a0\\u3000"']) {
    assert.throws(failing(username(empty)), {
      message: "identity transformation returned an empty username, which is not allowed",
    });
  }
  // A zero-width no-break space is no white space, here as in Go.
  assert.equal(compiled({ expressions: [username('"\\ufeff"')] }).apply(jane).identity?.username, "\ufeff");
});

test("expressions that cannot be compiled (contract/supervisor.md 3.2)", () => {
  const problems = (...expressions: TransformExpression[]) => compileTransforms({ expressions }).problems;
  assert.deepEqual(problems(policy("true"), username("  \n"), groups("username"), policy("groups")), [
    { index: 1, message: "cannot compile empty CEL expression" },
    {
      index: 2,
      message: 'CEL expression should return type "list(string)" but returns type "string"',
    },
    { index: 3, message: 'CEL expression should return type "bool" but returns type "list(string)"' },
  ]);
  assert.deepEqual(problems(username("this is not a valid cel expression")), [
    {
      index: 0,
      message:
        "CEL expression compile error: ERROR: <input>:1:6: Syntax error: mismatched input 'is' expecting <EOF>\n | this is not a valid cel expression\n | .....^",
    },
  ]);
  assert.deepEqual(problems(policy("foobar.junk()")), [
    {
      index: 0,
      message:
        "CEL expression compile error: ERROR: <input>:1:1: undeclared reference to 'foobar' (in container '')\n | foobar.junk()\n | ^\nERROR: <input>:1:12: undeclared reference to 'junk' (in container '')\n | foobar.junk()\n | ...........^",
    },
  ]);
  assert.deepEqual(problems(username("dyn(username)")), [
    { index: 0, message: 'CEL expression should return type "string" but returns type "dyn"' },
  ]);
  const constants = [{ name: "1x", type: "string" as const }];
  assert.deepEqual(compileTransforms({ constants, expressions: [username("username")] }).problems, [
    {
      index: 0,
      message: '"1x" is an invalid const variable name (must match [_a-zA-Z][_a-zA-Z0-9]*)',
    },
  ]);
});

test("examples: every mismatch has its text (contract/supervisor.md 3.5)", () => {
  const transformation = compiled({
    expressions: [
      policy('username != "bad"', "go away"),
      policy('username != "worse"'),
      username('username == "none" ? "" : "x:" + username'),
    ],
  });
  const rows: readonly (readonly [TransformExample, readonly (readonly [string, string])[]])[] = [
    [{ username: "a", groups: ["z", "y"], expects: { username: "x:a", groups: ["y", "z", "y"] } }, []],
    [{ username: "bad", expects: { rejected: true, message: "go away" } }, []],
    [{ username: "worse", expects: { rejected: true } }, []],
    [
      { username: "none", expects: { username: "x:none" } },
      [
        [
          "no transformation errors",
          'transformations resulted in an unexpected error "identity transformation returned an empty username, which is not allowed"',
        ],
      ],
    ],
    [
      { username: "a", expects: { rejected: true } },
      [["authentication to be rejected", "authentication was not rejected"]],
    ],
    [
      { username: "bad", expects: { username: "x:bad" } },
      [["authentication not to be rejected", 'authentication was rejected with message "go away"']],
    ],
    [
      { username: "bad", expects: { rejected: true } },
      [
        [
          'authentication rejection message "authentication was rejected by a configured policy"',
          'authentication rejection message "go away"',
        ],
      ],
    ],
    [
      { username: "a", groups: ["y"], expects: {} },
      [
        ['username ""', 'username "x:a"'],
        ["groups []", 'groups ["y"]'],
      ],
    ],
    [
      { username: 'q"', groups: ["b", "a"], expects: { username: 'x:q"', groups: ["c"] } },
      [['groups ["c"]', 'groups ["a", "b"]']],
    ],
  ];
  for (const [example, mismatches] of rows) {
    assert.deepEqual(
      checkExamples(transformation, [{ username: "a", expects: { username: "x:a" } }, example]),
      mismatches.map(([expected, actual]) => ({ index: 1, expected, actual })),
    );
  }
});

test("groups are sorted by their bytes, as in Go", () => {
  assert.deepEqual(sortedUnique(["\u{1f600}", "\uffff", "é", "z", "a", "ab", "z"]), [
    "a",
    "ab",
    "z",
    "é",
    "\uffff",
    "\u{1f600}",
  ]);
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "binary" })), (texts) => {
      const bytes = [...new Set(texts)]
        .map((text) => Buffer.from(text))
        .toSorted((a, b) => Buffer.compare(a, b));
      assert.deepEqual(
        sortedUnique(texts),
        bytes.map((text) => text.toString()),
      );
    }),
  );
});

test("whatever comes in, what comes out has a name and each group once", () => {
  const transformation = compiled({
    expressions: [username("username.trim() + username"), groups("groups.map(g, g.lowerAscii()) + groups")],
  });
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.array(fc.string({ unit: "grapheme" })), (name, list) => {
      try {
        const { identity } = transformation.apply({ username: name, groups: list });
        assert.ok(identity !== undefined && identity.username.trim() !== "");
        assert.equal(new Set(identity.groups).size, identity.groups.length);
        assert.ok(list.every((group) => identity.groups.includes(group)));
      } catch (error) {
        assert.match((error as Error).message, /empty username/);
      }
    }),
  );
});
