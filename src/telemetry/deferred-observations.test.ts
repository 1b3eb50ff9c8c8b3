import assert from "node:assert/strict";
import { test } from "node:test";
import { deferObservations } from "./deferred-observations.ts";

test("observations are applied once, in order, when asked for", () => {
  const applied: string[] = [];
  const observations = deferObservations<string>((label, seconds) => applied.push(`${label} ${seconds}`));
  observations.add("a", 1);
  observations.add("b", 2);
  assert.deepEqual(applied, []);
  observations.flush();
  observations.flush();
  assert.deepEqual(applied, ["a 1", "b 2"]);
});

test("only so many are kept", () => {
  let applied = 0;
  const observations = deferObservations<string>(() => applied++);
  for (let count = 0; count < 1000; count++) {
    observations.add("a", count);
  }
  assert.ok(applied >= 1000 - 256);
  observations.flush();
  assert.equal(applied, 1000);
});
