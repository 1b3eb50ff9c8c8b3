import type { Clock } from "../../clock.ts";
import { LanyardError } from "../../errors.ts";

export interface VerdictCacheOptions {
  readonly clock: Clock;
  /** How long a verdict counts, milliseconds. */
  readonly lifetimeMilliseconds: number;
  /** How long one review may take, milliseconds; its own, not that of the first caller (S4). */
  readonly deadlineMilliseconds: number;
  /** Oldest verdicts leave first. */
  readonly maximumEntries: number;
  /** Bigger questions are asked again each time. */
  readonly maximumBytes: number;
  /** Told of every question: whether its answer was known. */
  readonly onAsked: (hit: boolean) => void;
}

/** Answers of the API server to identical questions, kept for seconds; errors are never kept (S4). */
export interface VerdictCache<T> {
  /** The verdict that counts now, without waiting for anything; nothing is asked when there is none. */
  known(key: string): { readonly verdict: T } | undefined;
  /** `bytes` is the size of the question behind `key`. Rejects with `request.reviewTimeout` at the deadline. */
  get(key: string, bytes: number, review: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

/** Identical questions that are under way are asked once. */
export function createVerdictCache<T>(options: VerdictCacheOptions): VerdictCache<T> {
  const { clock, lifetimeMilliseconds, deadlineMilliseconds, maximumEntries, maximumBytes, onAsked } =
    options;
  const verdicts = new Map<string, { readonly verdict: T; readonly until: number }>();
  const underWay = new Map<string, Promise<T>>();

  const keep = (key: string, verdict: T): void => {
    verdicts.delete(key);
    verdicts.set(key, { verdict, until: clock.now() + lifetimeMilliseconds });
    for (const oldest of verdicts.keys()) {
      if (verdicts.size <= maximumEntries) {
        break;
      }
      verdicts.delete(oldest);
    }
  };

  const ask = async (key: string, bytes: number, review: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    const abort = new AbortController();
    const { promise: late, reject } = Promise.withResolvers<never>();
    const cancel = clock.schedule(deadlineMilliseconds, () => {
      const error = new LanyardError({
        code: "request.reviewTimeout",
        message: `the API server did not answer a review within ${deadlineMilliseconds} ms`,
        httpStatus: 504,
      });
      abort.abort(error);
      reject(error);
    });
    try {
      const verdict = await Promise.race([review(abort.signal), late]);
      if (bytes <= maximumBytes) {
        keep(key, verdict);
      }
      return verdict;
    } finally {
      cancel();
      underWay.delete(key);
    }
  };

  const lookUp = (key: string): { readonly verdict: T } | undefined => {
    const found = verdicts.get(key);
    if (found === undefined) {
      return undefined;
    }
    if (clock.now() < found.until) {
      onAsked(true);
      return found;
    }
    verdicts.delete(key);
    return undefined;
  };

  return {
    known: lookUp,
    get: (key, bytes, review) => {
      const found = lookUp(key);
      if (found !== undefined) {
        return Promise.resolve(found.verdict);
      }
      onAsked(false);
      const running = underWay.get(key);
      if (running !== undefined) {
        return running;
      }
      const asked = ask(key, bytes, review);
      underWay.set(key, asked);
      return asked;
    },
  };
}
