import { LanyardError, messageOf } from "../../src/errors.ts";
import { DemoFailure } from "./failure.ts";

/** A program's run: what it started is stopped at the end, whatever the end is; last in, first out. */
export interface Run {
  /** Aborted by the first SIGINT, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal;
  /**
   * Starts something and waits for it. It is stopped at the end, also when the interruption comes while it starts; after that
   * nothing starts any more.
   */
  start<T>(begin: () => Promise<T>, stop: (started: T) => unknown): Promise<T>;
}

const SAME_INTERRUPTION_MILLISECONDS = 1_000;
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * Runs a program's work, stops what it started and ends the process: with 0, with 1 after a failure (one line, then the server's last
 * log lines), with 2 after misuse, and with 128 + signal (or `interruptedExitCode`) when it was interrupted. A signal a second later ends it at once.
 */
export async function runToTheEnd(
  name: string,
  work: (run: Run) => Promise<void>,
  options: { readonly interruptedExitCode?: number } = {},
): Promise<never> {
  const stops: (() => Promise<unknown>)[] = [];
  const stopping = new AbortController();
  const { signal } = stopping;
  let code = 0;
  let interruptedAt = 0;
  const interrupted = new Promise<void>((resolve) => {
    for (const [event, exitCode] of Object.entries(EXIT_CODES)) {
      process.on(event, () => {
        if (signal.aborted) {
          // Of one Ctrl-C two signals may arrive: the terminal's and the one that npm passes on.
          if (performance.now() - interruptedAt > SAME_INTERRUPTION_MILLISECONDS) {
            process.exit(exitCode);
          }
          return;
        }
        interruptedAt = performance.now();
        code = options.interruptedExitCode ?? exitCode;
        stopping.abort();
        process.stderr.write(`${name}: stopping\n`);
        resolve();
      });
    }
  });
  const start: Run["start"] = async (begin, stop) => {
    signal.throwIfAborted();
    const starting = begin();
    stops.push(async () => {
      const started = await starting.then(
        (value) => ({ value }),
        () => undefined,
      );
      await (started === undefined ? undefined : stop(started.value));
    });
    const started = await starting;
    signal.throwIfAborted();
    return started;
  };
  const working = work({ signal, start }).catch((error: unknown) => {
    // Once interrupted, whatever fails fails because its server is gone.
    if (!signal.aborted) {
      code = report(name, error);
    }
  });
  await Promise.race([working, interrupted]);
  for (const stop of stops.toReversed()) {
    try {
      await stop();
    } catch (error) {
      process.stderr.write(`${name}: could not clean up: ${messageOf(error)}\n`);
      code ||= 1;
    }
  }
  process.exit(code);
}

function report(name: string, error: unknown): number {
  const line = messageOf(error).trim().split("\n", 1)[0] ?? "";
  process.stderr.write(`${name}: ${line}\n`);
  if (error instanceof DemoFailure && error.log !== "") {
    const log = error.log.replaceAll(/^/gm, "  ");
    process.stderr.write(`the server's last log lines:\n${log}\n`);
  }
  return error instanceof LanyardError && error.code.endsWith(".usage") ? 2 : 1;
}
