import assert from "node:assert/strict";
import { test } from "node:test";
import { answer, readGolden } from "./testing/golden.ts";

test("every expression of the table gives cel-go's value, type, error or report", () => {
  const rows = readGolden();
  assert.ok(rows.length >= 200);
  for (const row of rows) assert.deepEqual(answer(row.expression, row.homogeneous), row);
});
