import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../clock.ts";
import { createApiServerConnection } from "./api-server-connection.ts";

const nowhere = {
  listed: () => {},
  watchStarted: () => {},
  watchEnded: () => {},
  seen: () => {},
  storeSize: () => {},
};

test("an open watch is a connection, however quiet it is", async () => {
  const clock = createManualClock();
  const { metrics, readiness } = createApiServerConnection({ clock, metrics: nowhere });
  metrics.watchStarted("secrets");
  await clock.advance(600_000);
  assert.equal(readiness.problem(), undefined);
});

test("refused watches are no connection, and one that is accepted is one again", async () => {
  const clock = createManualClock();
  const { metrics, readiness } = createApiServerConnection({ clock, metrics: nowhere });
  metrics.watchStarted("secrets");
  await clock.advance(60_000);
  metrics.watchEnded("secrets", "broken");
  for (let attempt = 0; attempt < 10; attempt++) {
    metrics.watchStarted("secrets");
    await clock.advance(5);
    metrics.watchEnded("secrets", "broken");
    await clock.advance(1_000);
  }
  assert.equal(readiness.problem(), "the kube-apiserver cannot be reached");
  metrics.watchStarted("secrets");
  await clock.advance(500);
  assert.notEqual(readiness.problem(), undefined, "not before it is clear that the watch was accepted");
  await clock.advance(500);
  assert.equal(readiness.problem(), undefined);
});

test("a short gap between two watches is no problem, a longer one is", async () => {
  const clock = createManualClock();
  const { metrics, readiness } = createApiServerConnection({ clock, metrics: nowhere });
  metrics.watchStarted("secrets");
  await clock.advance(400_000);
  metrics.watchEnded("secrets", "broken");
  await clock.advance(2_900);
  assert.equal(readiness.problem(), undefined);
  await clock.advance(200);
  assert.notEqual(readiness.problem(), undefined);
  metrics.listed("secrets", true, 0.1);
  assert.equal(readiness.problem(), undefined);
});
