/** Delays between attempts, growing with each failure in a row. */
export interface BackOff {
  /** Milliseconds until the next attempt. */
  next(): number;
  reset(): void;
  /** Failures since the last `reset`. */
  failures(): number;
}

const lowest = 800;
const highest = 5_000;

/**
 * 0.8 to 5 s with jitter (clarifications.md 17): short enough that a restarted API server is seen soon, spread so that
 * all informers of all replicas do not come back in one moment.
 */
export function createBackOff(random: () => number): BackOff {
  let failures = 0;
  return {
    next: () => {
      const top = Math.min(highest, 2 * lowest * 2 ** Math.min(failures, 10));
      const bottom = Math.max(lowest, top / 2);
      failures++;
      return Math.round(bottom + (top - bottom) * random());
    },
    reset: () => {
      failures = 0;
    },
    failures: () => failures,
  };
}
