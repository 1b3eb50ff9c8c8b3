import type { Clock } from "../../clock.ts";

export interface TokenBucketOptions {
  readonly clock: Clock;
  /** How fast a bucket fills up again. */
  readonly perSecond: number;
  /** How much a full bucket holds. */
  readonly burst: number;
  /** Buckets kept; the longest untouched one leaves first. */
  readonly maximumKeys?: number | undefined;
}

/** One bucket of tokens per key, bounded in memory. */
export interface TokenBuckets {
  /** 0 when there is a token; else after how many whole seconds there will be one. */
  waitSeconds(key: string): number;
  /** Takes a token; a bucket may go empty but not into debt. */
  charge(key: string): void;
}

interface Bucket {
  tokens: number;
  filledAt: number;
}

export function createTokenBuckets(options: TokenBucketOptions): TokenBuckets {
  const { clock, perSecond, burst, maximumKeys = 10_000 } = options;
  if (!(perSecond > 0) || !(burst >= 1)) {
    throw new TypeError("a token bucket fills at more than 0 per second and holds at least 1");
  }
  const buckets = new Map<string, Bucket>();

  const fill = (bucket: Bucket): void => {
    const now = clock.now();
    // A clock that goes backwards gives nothing and takes nothing.
    const elapsed = Math.max(0, now - bucket.filledAt);
    bucket.tokens = Math.min(burst, bucket.tokens + (elapsed * perSecond) / 1000);
    bucket.filledAt = now;
  };

  return {
    waitSeconds: (key) => {
      const bucket = buckets.get(key);
      if (bucket === undefined) {
        return 0;
      }
      fill(bucket);
      return bucket.tokens >= 1 ? 0 : Math.max(1, Math.ceil((1 - bucket.tokens) / perSecond));
    },
    charge: (key) => {
      const bucket = buckets.get(key) ?? { tokens: burst, filledAt: clock.now() };
      fill(bucket);
      bucket.tokens = Math.max(0, bucket.tokens - 1);
      // Re-inserted: the map's order is the order of use.
      buckets.delete(key);
      buckets.set(key, bucket);
      if (buckets.size > maximumKeys) {
        for (const oldest of buckets.keys()) {
          buckets.delete(oldest);
          break;
        }
      }
    },
  };
}
