import type { Clock } from "../clock.ts";
import type { Logger } from "../telemetry/log.ts";

export interface LeaderTermOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly monotonicNow: () => number;
  readonly renewDeadlineMilliseconds: number;
  readonly onChange: (isLeader: boolean) => void;
}

/** A point in time on both clocks. */
export interface TimeMark {
  readonly wall: number;
  readonly monotonic: number;
}

/** The right to write, for as long as the renewals go on; it ends by itself. */
export interface LeaderTerm {
  isLeader(): boolean;
  signal(): AbortSignal;
  subscribe(listener: (isLeader: boolean) => void): () => void;
  mark(): TimeMark;
  /** Starts a term, or lengthens the present one, until `renewed` + the renew deadline. */
  extend(renewed: TimeMark): void;
  end(reason: string): void;
}

export function createLeaderTerm(options: LeaderTermOptions): LeaderTerm {
  const { clock, log, monotonicNow, renewDeadlineMilliseconds } = options;
  const listeners = new Set<(isLeader: boolean) => void>([options.onChange]);
  const neverLed = AbortSignal.abort();
  let current: AbortController | undefined;
  let renewed: TimeMark = { wall: 0, monotonic: 0 };
  let cancelTimer = (): void => {};

  const tell = (isLeader: boolean): void => {
    for (const listener of listeners) {
      try {
        listener(isLeader);
      } catch (error) {
        log.error("a listener of the leader election failed", error);
      }
    }
  };

  /**
   * Milliseconds left. Both clocks count: the steady one stands still while a machine sleeps, the other one can be set
   * back. A clock that is set forward only ends a term early.
   */
  const remaining = (): number =>
    renewDeadlineMilliseconds - Math.max(monotonicNow() - renewed.monotonic, clock.now() - renewed.wall);

  const end = (reason: string): void => {
    const ended = current;
    if (ended === undefined) {
      return;
    }
    current = undefined;
    cancelTimer();
    if (reason === "stopping") {
      log.info("leadership ended", { reason });
    } else {
      log.warning("leadership ended", { reason });
    }
    ended.abort();
    tell(false);
  };

  const arm = (): void => {
    cancelTimer();
    cancelTimer = clock.schedule(remaining(), () => {
      // A timer can be early when it was set in a busy turn of the event loop.
      if (endIfOver() !== undefined) {
        arm();
      }
    });
  };

  const endIfOver = (): AbortController | undefined => {
    if (current !== undefined && remaining() <= 0) {
      end("the lease was not renewed in time");
    }
    return current;
  };

  return {
    isLeader: () => endIfOver() !== undefined,
    signal: () => endIfOver()?.signal ?? neverLed,
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    mark: () => ({ wall: clock.now(), monotonic: monotonicNow() }),
    extend: (mark) => {
      endIfOver();
      renewed = mark;
      if (remaining() <= 0) {
        end("the lease was renewed too late");
        return;
      }
      if (current === undefined) {
        current = new AbortController();
        log.info("leadership began");
        arm();
        tell(true);
      } else {
        arm();
      }
    },
    end,
  };
}
