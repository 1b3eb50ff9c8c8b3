import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createManualClock } from "../clock.ts";
import { createJsonLines, formatTimestamp, joinWaitingLines } from "./json-lines.ts";

test("lines that may wait go out with the next line, in order and in one write", async () => {
  const written: string[] = [];
  const lines = joinWaitingLines({ write: (text) => written.push(text) });
  lines.writeSoon("1\n");
  lines.writeSoon("2\n");
  assert.deepEqual(written, []);
  lines.write("3\n");
  assert.deepEqual(written, ["1\n2\n3\n"]);
  await nextTurn();
  assert.equal(written.length, 1, "nothing is written twice");
});

test("lines that may wait do so until the end of the turn at most, and not beyond the exit", async () => {
  const written: string[] = [];
  const lines = joinWaitingLines({ write: (text) => written.push(text) });
  lines.writeSoon("1\n");
  await nextTurn();
  assert.deepEqual(written, ["1\n"]);
  lines.writeSoon("2\n");
  lines.flush();
  assert.deepEqual(written, ["1\n", "2\n"]);
});

test("values that JSON cannot hold do not keep the rest of a line back", () => {
  const written: string[] = [];
  const lines = createJsonLines({
    clock: createManualClock(0),
    destination: { write: (text) => written.push(text) },
  });
  const shared = { a: 1 };
  const circular: Record<string, unknown> = { twice: [shared, shared], big: 2n };
  circular["self"] = circular;
  const hostile = {
    toJSON: () => {
      throw new Error("no");
    },
  };
  lines.write("info", { message: "m", circular, hostile, last: 1, gone: undefined });
  assert.equal(
    written.join(""),
    '{"level":"info","timestamp":"1970-01-01T00:00:00.000000Z","message":"m",' +
      '"circular":{"twice":[{"a":1},{"a":1}],"big":"2","self":"[circular]"},"hostile":"[not representable]","last":1}\n',
  );
});

test("timestamps keep their fractions across seconds", () => {
  const time = Date.UTC(2026, 0, 1, 0, 0, 59, 999);
  assert.equal(formatTimestamp(time + 0.5), "2026-01-01T00:00:59.999500Z");
  assert.equal(formatTimestamp(time + 1), "2026-01-01T00:01:00.000000Z");
  assert.equal(formatTimestamp(time), "2026-01-01T00:00:59.999000Z");
});
