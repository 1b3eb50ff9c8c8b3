import assert from "node:assert/strict";
import { test } from "node:test";
import { createTestContext } from "./testing/context.ts";
import { showWarnings, warningTexts } from "./warnings.ts";

test("texts of code 299 are read from joined headers, others are left out", () => {
  assert.deepEqual(
    warningTexts(
      '299 - "one, with \\"quotes\\"", 199 - "not this", 299 agent "two" "Tue, 15 Nov 1994 08:12:31 GMT"',
    ),
    ['one, with "quotes"', "two"],
  );
  assert.deepEqual(warningTexts("299 - no quotes"), []);
});

test("a server cannot move the cursor", () => {
  assert.deepEqual(warningTexts('299 - "a\u001b[2Jb"'), ["a[2Jb"]);
});

test("on a terminal each text is shown once and in colour, elsewhere plainly each time", () => {
  const terminal = createTestContext({ terminal: true });
  showWarnings(terminal, '299 - "old"');
  showWarnings(terminal, '299 - "old", 299 - "new"');
  assert.equal(terminal.errors(), "\u001b[33;1mWarning:\u001b[0m old\n\u001b[33;1mWarning:\u001b[0m new\n");
  const pipe = createTestContext();
  showWarnings(pipe, '299 - "old"');
  showWarnings(pipe, '299 - "old"');
  assert.equal(pipe.errors(), "Warning: old\nWarning: old\n");
});

for (const environment of [{ NO_COLOR: "1" }, { NO_COLOR: "" }, { TERM: "dumb" }]) {
  test(`no colour with ${JSON.stringify(environment)}`, () => {
    const terminal = createTestContext({ terminal: true, environment });
    showWarnings(terminal, '299 - "x"');
    assert.equal(terminal.errors(), "Warning: x\n");
  });
}
