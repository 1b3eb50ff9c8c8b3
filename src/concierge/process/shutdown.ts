import type { Clock } from "../../clock.ts";
import type { Logger } from "../../telemetry/log.ts";

/** One thing to stop; steps run one after the other. */
export interface ShutdownStep {
  readonly name: string;
  readonly limitMilliseconds: number;
  /** The signal aborts when the limit is over; the next step starts then in any case. */
  stop(signal: AbortSignal): Promise<void> | void;
  /** Logged at debug level once the step is over (contract 9.3). */
  readonly finishedMessage?: string;
}

/** The parts of `process` that are needed; tests bring their own. */
export interface ProcessHandle {
  on(event: string, listener: (...args: readonly unknown[]) => void): unknown;
  off(event: string, listener: (...args: readonly unknown[]) => void): unknown;
  exit(code: number): void;
}

export interface ShutdownOptions {
  /** In order: stop controllers, release the lease, drain the API (contract 9.1). */
  readonly steps: readonly ShutdownStep[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly process: ProcessHandle;
}

/** Pods must be gone 20 s after their deletion (contract 9.1). */
export const MAXIMUM_SHUTDOWN_MILLISECONDS = 20_000;

export interface Shutdown {
  /** Aborts as soon as the shutdown starts; `/readyz` fails from then on. */
  readonly signal: AbortSignal;
  /** Runs the steps, then exits with `code`; further calls wait for the first. */
  start(reason: string, code?: number): Promise<void>;
  /** Takes the listeners off the process again. */
  dispose(): void;
}

/**
 * Leaves in order on SIGTERM and SIGINT, at once on the second one, and with code 1 after an error that nobody caught.
 */
export function installShutdown(options: ShutdownOptions): Shutdown {
  const { steps, clock, log } = options;
  const total = steps.reduce((sum, step) => sum + step.limitMilliseconds, 0);
  if (total >= MAXIMUM_SHUTDOWN_MILLISECONDS) {
    throw new TypeError(
      `shutdown steps take up to ${total} ms, allowed are less than ${MAXIMUM_SHUTDOWN_MILLISECONDS}`,
    );
  }
  const stopping = new AbortController();
  let running: Promise<void> | undefined;

  const run = async (reason: string, code: number): Promise<void> => {
    log.debug("[graceful-termination] shutdown event", { name: "ShutdownInitiated", reason });
    stopping.abort();
    for (const step of steps) {
      await runStep(step, clock, log);
    }
    log.debug("[graceful-termination] apiserver is exiting");
    options.process.exit(code);
  };
  const start = (reason: string, code = 0): Promise<void> => {
    running ??= run(reason, code);
    return running;
  };
  const onSignal = (name: unknown): void => {
    if (running !== undefined) {
      log.warning("second signal, exiting at once", { signal: name });
      options.process.exit(1);
      return;
    }
    void start(String(name));
  };
  const onFatal = (error: unknown): void => {
    log.error("unexpected error, exiting", error);
    options.process.exit(1);
  };
  const listeners = {
    SIGTERM: onSignal,
    SIGINT: onSignal,
    uncaughtException: onFatal,
    unhandledRejection: onFatal,
  };
  for (const [event, listener] of Object.entries(listeners)) {
    options.process.on(event, listener);
  }
  return {
    signal: stopping.signal,
    start,
    dispose: () => {
      for (const [event, listener] of Object.entries(listeners)) {
        options.process.off(event, listener);
      }
    },
  };
}

async function runStep(step: ShutdownStep, clock: Clock, log: Logger): Promise<void> {
  const over = new AbortController();
  const finished = new AbortController();
  const work = (async () => {
    try {
      await step.stop(over.signal);
    } catch (error) {
      log.error("shutdown step failed", error, { step: step.name });
    } finally {
      finished.abort();
    }
  })();
  await Promise.race([work, clock.sleep(step.limitMilliseconds, finished.signal)]);
  if (!finished.signal.aborted) {
    log.warning("shutdown step takes too long, going on", {
      step: step.name,
      limitSeconds: step.limitMilliseconds / 1000,
    });
    over.abort();
  }
  if (step.finishedMessage !== undefined) {
    log.debug(step.finishedMessage);
  }
}
