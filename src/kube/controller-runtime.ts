import type { Clock } from "../clock.ts";
import { LanyardError } from "../errors.ts";
import type { Logger } from "../telemetry/log.ts";
import { isConflict } from "./api-error.ts";
import type { Controller } from "./controller.ts";

/** What the runtime counts; outcomes are few, so that they may be labels. */
export interface ControllerMetrics {
  reconciled(controller: string, outcome: "success" | "error", seconds: number): void;
}

export interface RunControllersOptions {
  readonly controllers: readonly Controller[];
  readonly clock: Clock;
  readonly log: Logger;
  /** Aborting it is the same as `stop()`. */
  readonly signal: AbortSignal;
  /** How often every controller runs without a trigger; default 180,000 (contract 6.1). */
  readonly resyncMilliseconds?: number;
  readonly metrics?: ControllerMetrics;
  /** Answers 0 up to 1; default `Math.random`. */
  readonly random?: () => number;
}

export interface RunningControllers {
  /** Aborts the running reconciles' signal, waits until they have ended, and starts no more. */
  stop(): Promise<void>;
}

const firstRetryMilliseconds = 5;
const largestRetryMilliseconds = 30_000;

/**
 * Runs reconcile loops: one worker and one queue key each (contract 6.1). Triggers that come while a controller runs, or
 * in a burst, make one more run. A failed run is repeated after 5 ms, doubling up to 30 s, with jitter; a trigger does
 * not wait for that.
 */
export function runControllers(options: RunControllersOptions): RunningControllers {
  const stopping = new AbortController();
  const stopWithSignal = (): void => stopping.abort();
  if (options.signal.aborted) {
    stopping.abort();
  } else {
    options.signal.addEventListener("abort", stopWithSignal, { once: true });
  }
  const loops = options.controllers.map((controller) => runController(controller, stopping.signal, options));
  return {
    stop: async () => {
      options.signal.removeEventListener("abort", stopWithSignal);
      stopping.abort();
      await Promise.all(loops);
    },
  };
}

async function runController(
  controller: Controller,
  signal: AbortSignal,
  options: RunControllersOptions,
): Promise<void> {
  const log = options.log.named(controller.name);
  const trigger = createTrigger(options.clock, signal);
  const resyncMilliseconds = options.resyncMilliseconds ?? 180_000;
  const random = options.random ?? Math.random;
  let failures = 0;
  let disconnect = connect(controller, () => trigger.set(), log);
  let cancelResync = (): void => {};
  const resync = (): void => {
    cancelResync = options.clock.schedule(resyncMilliseconds, () => {
      disconnect ??= connect(controller, () => trigger.set(), log);
      trigger.set();
      resync();
    });
  };
  resync();
  trigger.set();
  while (await trigger.wait()) {
    const started = options.clock.now();
    let outcome: "success" | "error" = "success";
    try {
      const result = await controller.reconcile(signal);
      failures = 0;
      if (result?.requeueAfterMilliseconds !== undefined) {
        trigger.setAfter(result.requeueAfterMilliseconds);
      }
    } catch (error) {
      outcome = "error";
      const retryMilliseconds = retryDelay(failures, random());
      failures++;
      trigger.setAfter(retryMilliseconds);
      logFailure(log, error, { retryMilliseconds, failures }, signal.aborted);
    }
    measure(options.metrics, log, controller.name, outcome, (options.clock.now() - started) / 1000);
  }
  cancelResync();
  trigger.close();
  try {
    disconnect?.();
  } catch (error) {
    log.error("could not disconnect the triggers of a controller", error);
  }
}

/** Milliseconds to wait after `failures` earlier failures in a row; `random` is 0 up to 1. */
function retryDelay(failures: number, random: number): number {
  const delay = firstRetryMilliseconds * 2 ** Math.min(failures, 30) * (0.8 + 0.4 * random);
  return Math.min(delay, largestRetryMilliseconds * (0.8 + 0.2 * random));
}

function connect(controller: Controller, enqueue: () => void, log: Logger): (() => void) | undefined {
  try {
    return controller.watch(enqueue);
  } catch (error) {
    log.error("could not connect the triggers of a controller, trying again at the next resync", error);
    return undefined;
  }
}

function measure(
  metrics: ControllerMetrics | undefined,
  log: Logger,
  controller: string,
  outcome: "success" | "error",
  seconds: number,
): void {
  try {
    metrics?.reconciled(controller, outcome, seconds);
  } catch (error) {
    log.error("could not count a reconcile", error);
  }
}

function logFailure(
  log: Logger,
  error: unknown,
  fields: Readonly<Record<string, number>>,
  stopped: boolean,
): void {
  if (stopped || isExpected(error)) {
    log.debug("reconcile will be repeated", {
      ...fields,
      error: error instanceof Error ? error.message : String(error),
    });
  } else {
    log.error("reconcile failed", error, fields);
  }
}

/** A replica that does not lead, and one that wrote from a stale copy, find out in the normal course of things. */
function isExpected(error: unknown): boolean {
  if (error instanceof AggregateError) {
    return error.errors.length > 0 && error.errors.every((each: unknown) => isExpected(each));
  }
  if (isConflict(error) || (error instanceof LanyardError && error.code === "leadership.required")) {
    return true;
  }
  return error instanceof Error && error.cause !== undefined && isExpected(error.cause);
}

interface Trigger {
  set(): void;
  /** Sets the trigger later; only the latest call counts, and setting it sooner cancels it. */
  setAfter(milliseconds: number): void;
  /** Takes the trigger, waiting for it; false once the signal has aborted. */
  wait(): Promise<boolean>;
  close(): void;
}

function createTrigger(clock: Clock, signal: AbortSignal): Trigger {
  let dirty = false;
  let wake = (): void => {};
  let cancelTimer = (): void => {};
  const abort = (): void => wake();
  signal.addEventListener("abort", abort);
  const set = (): void => {
    dirty = true;
    wake();
  };
  return {
    set,
    setAfter: (milliseconds) => {
      cancelTimer();
      cancelTimer = clock.schedule(milliseconds, set);
    },
    wait: async () => {
      if (!dirty && !signal.aborted) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      if (signal.aborted) {
        return false;
      }
      dirty = false;
      cancelTimer();
      return true;
    },
    close: () => {
      cancelTimer();
      signal.removeEventListener("abort", abort);
    },
  };
}
