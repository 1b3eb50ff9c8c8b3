import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createManualClock } from "../clock.ts";
import { LanyardError } from "../errors.ts";
import { type Logger, silentLogger } from "../telemetry/log.ts";
import { KubernetesApiError } from "./api-error.ts";
import { runControllers } from "./controller-runtime.ts";
import type { Controller, ReconcileResult } from "./controller.ts";

interface Harness {
  readonly controller: Controller;
  enqueue(): void;
  runs: number;
  disconnected: number;
}

function harness(reconcile: (run: number, signal: AbortSignal) => Promise<ReconcileResult | void>): Harness {
  const made: Harness = {
    runs: 0,
    disconnected: 0,
    enqueue: () => {},
    controller: {
      name: "sample-controller",
      reconcile: (signal) => reconcile(++made.runs, signal),
      watch: (enqueue) => {
        made.enqueue = enqueue;
        return () => {
          made.disconnected++;
        };
      },
    },
  };
  return made;
}

function recordingLogger(): { log: Logger; lines: { level: string; message: string }[] } {
  const lines: { level: string; message: string }[] = [];
  const log: Logger = {
    ...silentLogger,
    named: () => log,
    error: (message) => lines.push({ level: "error", message }),
    debug: (message) => lines.push({ level: "debug", message }),
  };
  return { log, lines };
}

function start(controllers: readonly Controller[], log = silentLogger) {
  const clock = createManualClock();
  const abort = new AbortController();
  const running = runControllers({ controllers, clock, log, signal: abort.signal, random: () => 0.5 });
  return { clock, abort, running };
}

function conflict(): KubernetesApiError {
  return new KubernetesApiError({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    reason: "Conflict",
    message: "stale",
    code: 409,
  });
}

describe("runControllers", () => {
  it("runs at the start, makes one run of a burst, and never overlaps", async () => {
    let release = (): void => {};
    let active = 0;
    let mostActive = 0;
    const sample = harness(async () => {
      active++;
      mostActive = Math.max(mostActive, active);
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      active--;
    });
    const { clock, running } = start([sample.controller]);
    await clock.advance(0);
    assert.equal(sample.runs, 1);
    for (let i = 0; i < 100; i++) {
      sample.enqueue();
    }
    await clock.advance(0);
    assert.equal(sample.runs, 1, "waits for the run that is under way");
    release();
    await clock.advance(0);
    assert.equal(sample.runs, 2);
    release();
    await clock.advance(1000);
    assert.equal(sample.runs, 2, "the burst made one more run");
    assert.equal(mostActive, 1);
    await running.stop();
    assert.equal(sample.disconnected, 1);
  });

  it("repeats a failed run after 5 ms, doubling up to 30 s, and forgets failures after a success", async () => {
    const times: number[] = [];
    const sample = harness(async (run) => {
      times.push(clock.now());
      if (run !== 17) {
        throw new Error("no");
      }
    });
    const { clock, running } = start([sample.controller]);
    await clock.advance(150_000);
    const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
    assert.deepEqual(gaps.slice(0, 4), [5, 10, 20, 40]);
    assert.equal(gaps[12], 20_480);
    assert.deepEqual(gaps.slice(13, 16), [27_000, 27_000, 27_000]);
    assert.equal(sample.runs, 17);
    sample.enqueue();
    await clock.advance(5);
    assert.equal(sample.runs, 19, "the count started again");
    await running.stop();
  });

  it("does not make a trigger wait for the back-off", async () => {
    const sample = harness(async (run) => {
      if (run < 12) {
        throw new Error("no");
      }
    });
    const { clock, running } = start([sample.controller]);
    await clock.advance(6000);
    const before = sample.runs;
    sample.enqueue();
    await clock.advance(0);
    assert.equal(sample.runs, before + 1);
    await running.stop();
  });

  it("comes again after requeueAfterMilliseconds, and at every resync", async () => {
    const sample = harness(async (run) => (run === 1 ? { requeueAfterMilliseconds: 1000 } : undefined));
    const { clock, running } = start([sample.controller]);
    await clock.advance(999);
    assert.equal(sample.runs, 1);
    await clock.advance(1);
    assert.equal(sample.runs, 2);
    await clock.advance(179_000);
    assert.equal(sample.runs, 3);
    await clock.advance(180_000);
    assert.equal(sample.runs, 4);
    await running.stop();
    await clock.advance(600_000);
    assert.equal(sample.runs, 4);
  });

  it("waits for the running reconcile when it stops, and tells it by its signal", async () => {
    let finish = (): void => {};
    let seen: AbortSignal | undefined;
    const sample = harness(async (_run, signal) => {
      seen = signal;
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
    });
    const { clock, abort, running } = start([sample.controller]);
    await clock.advance(0);
    abort.abort();
    let stopped = false;
    const stop = running.stop().then(() => {
      stopped = true;
    });
    sample.enqueue();
    await clock.advance(1000);
    assert.equal(stopped, false);
    assert.equal(seen?.aborted, true);
    finish();
    await stop;
    assert.equal(sample.runs, 1);
  });

  it("keeps the others and itself running when triggers cannot be connected or disconnected", async () => {
    let broken = true;
    const { log, lines } = recordingLogger();
    const sample = harness(async () => {});
    const odd: Controller = {
      name: "odd-controller",
      reconcile: async () => {},
      watch: () => {
        if (broken) {
          throw new Error("no watch");
        }
        return () => {
          throw new Error("no disconnect");
        };
      },
    };
    const { clock, running } = start([odd, sample.controller], log);
    await clock.advance(0);
    assert.equal(sample.runs, 1);
    broken = false;
    await clock.advance(180_000);
    await running.stop();
    assert.deepEqual(
      lines.map(({ message }) => message),
      [
        "could not connect the triggers of a controller, trying again at the next resync",
        "could not disconnect the triggers of a controller",
      ],
    );
  });

  it("logs what every replica meets in the normal course of things at debug level only", async () => {
    const leadership = new LanyardError({ code: "leadership.required", message: "not the leader" });
    const errors = [
      conflict(),
      leadership,
      new Error("error for JWTAuthenticator a: stale", { cause: conflict() }),
      new AggregateError([leadership, conflict()]),
      new AggregateError([leadership, new Error("real")]),
      new Error("real"),
    ];
    const { log, lines } = recordingLogger();
    const sample = harness(async (run) => {
      const error = errors[run - 1];
      if (error !== undefined) {
        throw error;
      }
    });
    const { clock, running } = start([sample.controller], log);
    await clock.advance(10_000);
    await running.stop();
    assert.deepEqual(
      lines.map(({ level }) => level),
      ["debug", "debug", "debug", "debug", "error", "error"],
    );
  });

  it("survives a reconcile that throws before its first await, and metrics that throw", async () => {
    const { log, lines } = recordingLogger();
    const clock = createManualClock();
    const outcomes: string[] = [];
    let runs = 0;
    const running = runControllers({
      controllers: [
        {
          name: "odd-controller",
          watch: () => () => {},
          reconcile: () => {
            runs++;
            throw new Error("at once");
          },
        },
      ],
      clock,
      log,
      signal: new AbortController().signal,
      random: () => 0.5,
      metrics: {
        reconciled: (_name, outcome) => {
          outcomes.push(outcome);
          throw new Error("no metrics");
        },
      },
    });
    await clock.advance(5);
    await running.stop();
    assert.equal(runs, 2);
    assert.deepEqual(outcomes, ["error", "error"]);
    assert.equal(lines.length, 4);
  });
});
