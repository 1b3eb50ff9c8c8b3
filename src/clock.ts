/** Time as everything here sees it: injected, so that tests decide it. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Calls back once after `milliseconds`; the answer cancels it. The timer does not keep the process alive. */
  schedule(milliseconds: number, callback: () => void): () => void;
  /** Resolves after `milliseconds`, or at once when `signal` aborts; never rejects. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>;
}

/** Milliseconds, with fractions, of a clock that only runs forward: for how long something took. */
export const stopwatch = (): number => performance.now();

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  schedule: (milliseconds, callback) => {
    const timer = setTimeout(callback, milliseconds);
    timer.unref();
    return () => clearTimeout(timer);
  },
  sleep: (milliseconds, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve();
        return;
      }
      const finish = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", finish);
        resolve();
      };
      const timer = setTimeout(finish, milliseconds);
      signal?.addEventListener("abort", finish, { once: true });
    }),
};

/** A clock that stands still until `advance` moves it; for tests and replays. */
export interface ManualClock extends Clock {
  /** Moves time forward, running due callbacks in order and letting their promises settle in between. */
  advance(milliseconds: number): Promise<void>;
}

export function createManualClock(start = Date.UTC(2026, 0, 1)): ManualClock {
  let current = start;
  let sequence = 0;
  const timers = new Map<number, { due: number; callback: () => void }>();
  const schedule = (milliseconds: number, callback: () => void): (() => void) => {
    const id = sequence++;
    timers.set(id, { due: current + Math.max(0, milliseconds), callback });
    return () => timers.delete(id);
  };
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 5; turn++) {
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  };
  return {
    now: () => current,
    schedule,
    sleep: (milliseconds, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) {
          resolve();
          return;
        }
        const cancel = schedule(milliseconds, () => {
          signal?.removeEventListener("abort", abort);
          resolve();
        });
        const abort = (): void => {
          cancel();
          resolve();
        };
        signal?.addEventListener("abort", abort, { once: true });
      }),
    advance: async (milliseconds) => {
      const end = current + milliseconds;
      await settle();
      for (;;) {
        const next = [...timers.entries()]
          .filter(([, timer]) => timer.due <= end)
          .toSorted(([a, x], [b, y]) => x.due - y.due || a - b)[0];
        if (next === undefined) {
          break;
        }
        const [id, timer] = next;
        timers.delete(id);
        current = Math.max(current, timer.due);
        timer.callback();
        await settle();
      }
      current = end;
      await settle();
    },
  };
}
