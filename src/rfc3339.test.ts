import assert from "node:assert/strict";
import { test } from "node:test";
import { formatSeconds } from "./rfc3339.ts";

test("seconds are printed as metav1.Time prints them, the rest cut off", () => {
  const time = Date.UTC(2026, 0, 1, 0, 9, 15);
  assert.equal(formatSeconds(time), "2026-01-01T00:09:15Z");
  assert.equal(formatSeconds(time + 999.9), "2026-01-01T00:09:15Z");
  assert.equal(formatSeconds(time + 1000), "2026-01-01T00:09:16Z");
  assert.equal(formatSeconds(time - 1), "2026-01-01T00:09:14Z");
  assert.equal(formatSeconds(-1), "1969-12-31T23:59:59Z");
  assert.equal(formatSeconds(Date.UTC(2028, 1, 29, 23, 59, 59)), "2028-02-29T23:59:59Z");
});

test("every second keeps its own text, also when many have been asked for", () => {
  const start = Date.UTC(2026, 5, 1);
  for (let round = 0; round < 2; round++) {
    for (let second = 0; second < 200; second++) {
      const text = new Date(start + second * 1000).toISOString().replace(".000Z", "Z");
      assert.equal(formatSeconds(start + second * 1000), text);
    }
  }
});
