import { CommandError } from "../command-error.ts";
import type { CommandContext } from "../context.ts";

/** The time that a command has for everything together (`--timeout`). */
export interface Deadline {
  /** Aborts at the end of that time, and when the user ends the program. */
  readonly signal: AbortSignal;
  /** What is left, in Go's notation, whole seconds. */
  remaining(): string;
  /** Waits. @throws CommandError `cli.deadline`, text `context deadline exceeded` */
  pause(milliseconds: number): Promise<void>;
  /** Runs a call; an end of the time during it counts more than what the call says about it. */
  within<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T>;
  end(): void;
}

/** The longest time that a timer knows: 24 days. */
const LONGEST_MILLISECONDS = 2 ** 31 - 1;

/** A limit that timers can take; 0 stands for none. */
export function timerMilliseconds(milliseconds: number): number {
  return milliseconds > 0 ? Math.min(milliseconds, LONGEST_MILLISECONDS) : LONGEST_MILLISECONDS;
}

/** Keeps the process alive until `end`: the clock's timers do not. 0 milliseconds: no limit. */
export function createDeadline(context: CommandContext, milliseconds: number): Deadline {
  const { clock } = context;
  const own = new AbortController();
  const expire = (): void =>
    own.abort(Object.assign(new Error("the time is over"), { name: "TimeoutError" }));
  const cancel = clock.schedule(timerMilliseconds(milliseconds), expire);
  const endsAt = clock.now() + milliseconds;
  const keepAlive = setInterval(() => {}, 60_000);
  const signal = AbortSignal.any([own.signal, context.signal]);
  const check = (): void => {
    if (signal.aborted) {
      throw own.signal.aborted
        ? new CommandError("cli.deadline", "context deadline exceeded")
        : new CommandError("cli.canceled", "context canceled");
    }
  };
  return {
    signal,
    remaining: () => goDuration(Math.max(0, Math.round((endsAt - clock.now()) / 1000))),
    pause: async (time) => {
      check();
      await clock.sleep(time, signal);
      check();
    },
    within: async (call) => {
      check();
      try {
        return await call(signal);
      } catch (error) {
        check();
        throw error;
      }
    },
    end: () => {
      cancel();
      clearInterval(keepAlive);
    },
  };
}

/** Seconds as Go prints a duration: `10m0s`, `1h0m0s`, `45s`. */
export function goDuration(seconds: number): string {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor((seconds % 3600) / 60)];
  const rest = `${Number((seconds % 60).toFixed(3))}s`;
  return hours > 0 ? `${hours}h${minutes}m${rest}` : minutes > 0 ? `${minutes}m${rest}` : rest;
}
