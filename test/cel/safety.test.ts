import assert from "node:assert/strict";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { compileCel } from "../../src/identity/cel/compile-cel.ts";
import { CelEvaluationError } from "../../src/identity/cel/errors.ts";
import { transformations } from "./environments.ts";
import { hostileCases } from "./hostile.ts";
import type { HostileResult } from "./hostile-worker.ts";

/** Far above what an attack takes (its deadline is 250 ms), far below what one that succeeds would take. */
const LIMIT_MILLISECONDS = 3000;
const MEMORY_MEGABYTES = 128;

test("hostile expressions and inputs end in time and in little memory", async (context) => {
  const worker = new Worker(join(import.meta.dirname, "hostile-worker.ts"), {
    // A case that grows without bound ends the worker with ERR_WORKER_OUT_OF_MEMORY.
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MEGABYTES },
  });
  const results: HostileResult[] = [];
  worker.on("message", (result: HostileResult) => results.push(result));
  // One that does not end at all must not take the test run with it.
  const guard = setTimeout(() => void worker.terminate(), 60_000);
  try {
    await once(worker, "exit");
  } catch (error) {
    assert.fail(
      `after ${results.length} cases, at "${hostileCases[results.length]?.name}": ${String(error)}`,
    );
  } finally {
    clearTimeout(guard);
  }
  assert.equal(results.length, hostileCases.length, `no end of "${hostileCases[results.length]?.name}"`);
  const slowest = results.toSorted((one, other) => other.milliseconds - one.milliseconds)[0];
  context.diagnostic(`slowest: ${slowest?.name} in ${slowest?.milliseconds.toFixed(0)} ms`);
  const wrong = results.filter(({ outcome, milliseconds }, index) => {
    const allowed: readonly string[] = hostileCases[index]?.outcomes ?? [];
    return !allowed.includes(outcome) || milliseconds > LIMIT_MILLISECONDS;
  });
  assert.deepEqual(wrong, []);
});

test("an evaluation ends when its clock says so", () => {
  const program = compileCel("groups.all(a, groups.all(b, a != b || a == b))", transformations.engine);
  const groups = Array.from({ length: 1000 }, (_, index) => `g${index}`);
  let time = 0;
  let asked = 0;
  const now = (): number => {
    asked += 1;
    time += 1;
    return time;
  };
  assert.throws(
    () => program.evaluate({ ...transformations.bindings, groups }, { deadlineMilliseconds: 5, now }),
    (error) => error instanceof CelEvaluationError && error.message === "operation interrupted",
  );
  assert.ok(asked >= 2 && asked < 100, `the clock was read ${asked} times`);
});

test("an evaluation within its time is not interrupted", () => {
  const program = compileCel("groups.all(a, groups.all(b, a != b || a == b))", transformations.engine);
  assert.equal(program.evaluate(transformations.bindings, { deadlineMilliseconds: 5, now: () => 0 }), true);
});
