import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { endOfTurn } from "./turn.ts";

test("whoever asks in one turn goes on at its end, one after the other and in order", async () => {
  const seen: string[] = [];
  const work = async (name: string): Promise<void> => {
    seen.push(`${name} read`);
    await endOfTurn();
    seen.push(`${name} judged`);
  };
  const all = Promise.all([work("a"), work("b"), Promise.resolve().then(() => work("c"))]);
  await Promise.resolve();
  assert.deepEqual(seen, ["a read", "b read", "c read"]);
  await nextTurn();
  assert.deepEqual(seen.slice(3), ["a judged", "b judged", "c judged"]);
  await all;
});

test("each turn has an end of its own", async () => {
  const first = endOfTurn();
  assert.equal(endOfTurn(), first);
  await first;
  const second = endOfTurn();
  assert.notEqual(second, first);
  await second;
});
