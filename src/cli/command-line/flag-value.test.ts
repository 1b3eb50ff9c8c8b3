import assert from "node:assert/strict";
import { test } from "node:test";
import { parseCommaSeparated } from "./comma-separated.ts";
import { parseDuration } from "./duration.ts";
import { goQuote } from "../../go-text.ts";

const refusal = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    return (error as Error).message;
  }
  return "accepted";
};

test("durations are Go's", () => {
  for (const [text, milliseconds] of [
    ["0", 0],
    ["10m0s", 600_000],
    ["1h30m", 5_400_000],
    ["1.5h", 5_400_000],
    [".5s", 500],
    ["1.s", 1_000],
    ["-2s", -2_000],
    ["+2s", 2_000],
    ["250us", 0.25],
    ["3µs", 0.003],
  ] as const) {
    assert.equal(parseDuration(text), milliseconds, text);
  }
});

test("what is no duration is refused in Go's words", () => {
  for (const text of ["", "-", ".", ".s", "s", "1s!", "9999999999999h"]) {
    assert.match(
      refusal(() => parseDuration(text)),
      /^time: (?:invalid duration|unknown unit) "/,
      text,
    );
  }
  assert.equal(
    refusal(() => parseDuration("1s 2s")),
    'time: unknown unit "s " in duration "1s 2s"',
  );
  assert.equal(
    refusal(() => parseDuration("1h5")),
    'time: missing unit in duration "1h5"',
  );
});

test("lists are Go's comma-separated values", () => {
  for (const [text, fields] of [
    ["", []],
    ["a", ["a"]],
    ["a,b", ["a", "b"]],
    ["a,", ["a", ""]],
    [" a , b ", [" a ", " b "]],
    ['"a,b",c', ["a,b", "c"]],
    ['"say ""hi"""', ['say "hi"']],
    ['"two\nlines",x', ["two\nlines", "x"]],
    ["first\nsecond", ["first"]],
    ["\n\nlate,r\r\n", ["late", "r"]],
  ] as const) {
    assert.deepEqual(parseCommaSeparated(text), fields, JSON.stringify(text));
  }
});

test("what is no list is refused in Go's words", () => {
  for (const [text, message] of [
    ['a"b', 'parse error on line 1, column 2: bare " in non-quoted-field'],
    ['é,x"', 'parse error on line 1, column 5: bare " in non-quoted-field'],
    ['"a"b', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'],
    ['"a', 'parse error on line 1, column 3: extraneous or missing " in quoted-field'],
    ['"a\nb', 'record on line 1; parse error on line 2, column 2: extraneous or missing " in quoted-field'],
    ["\n", "EOF"],
  ] as const) {
    assert.equal(
      refusal(() => parseCommaSeparated(text)),
      message,
    );
  }
});

test("text is quoted as Go quotes it", () => {
  assert.equal(goQuote('a "b" \\ é 中 😀'), '"a \\"b\\" \\\\ é 中 😀"');
  assert.equal(
    goQuote("\u0007\b\t\n\u0000\u001b\u007f\u200b\u{e0001}"),
    '"\\a\\b\\t\\n\\x00\\x1b\\x7f\\u200b\\U000e0001"',
  );
});
