import type { Clock } from "../../clock.ts";
import type { Metrics, RateLimitName } from "../../telemetry/metrics.ts";
import type { Limits } from "../config/config.ts";
import { StatusError, tooManyRequests } from "./status.ts";
import { createTokenBuckets } from "./token-buckets.ts";

/** What limiting needs besides its figures. */
export interface LimiterOptions {
  readonly limits: Limits;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, "rateLimited">;
}

/** Largest request body, bytes (contract 1.4). */
export const MAXIMUM_BODY_BYTES = 3 * 1024 * 1024;

/** Largest token that is looked at, bytes (clarification 8). */
export const MAXIMUM_TOKEN_BYTES = 64 * 1024;

/** Counts failures only (S18): who succeeds is never slowed down by how often. */
export interface FailureLimiter {
  /** Throws a 429 Status with `Retry-After` while too many have failed. */
  requireSource(source: string): void;
  requireAuthenticator(authenticator: string): void;
  /** Counts one failure; `authenticator` only when it exists, so that invented names cost no memory. */
  recordFailure(source: string, authenticator?: string): void;
}

export function createFailureLimiter({ limits, clock, metrics }: LimiterOptions): FailureLimiter {
  const sources = createTokenBuckets({ clock, ...limits.failuresPerSource });
  const authenticators = createTokenBuckets({ clock, ...limits.failuresPerAuthenticator });
  return {
    requireSource: (source) => shed(metrics, "failures_per_source", sources.waitSeconds(source)),
    requireAuthenticator: (authenticator) =>
      shed(metrics, "failures_per_authenticator", authenticators.waitSeconds(authenticator)),
    recordFailure: (source, authenticator) => {
      sources.charge(source);
      if (authenticator !== undefined) {
        authenticators.charge(authenticator);
      }
    },
  };
}

/** How many TokenReviews may go out (S18). */
export interface ReviewBudget {
  /** Takes one, or throws a 429 Status with `Retry-After`. */
  spend(source: string): void;
}

export function createReviewBudget({ limits, clock, metrics }: LimiterOptions): ReviewBudget {
  const sources = createTokenBuckets({ clock, ...limits.tokenReviewsPerSource });
  const all = createTokenBuckets({ clock, ...limits.tokenReviews });
  return {
    spend: (source) => {
      shed(metrics, "token_reviews_per_source", sources.waitSeconds(source));
      shed(metrics, "token_reviews", all.waitSeconds(""));
      sources.charge(source);
      all.charge("");
    },
  };
}

/** At most so many at a time per key; more are shed with a 429 Status. */
export interface ConcurrencyLimit {
  run<T>(key: string, work: () => Promise<T>): Promise<T>;
}

export function createConcurrencyLimit(options: {
  readonly maximum: number;
  readonly metrics: Pick<Metrics, "rateLimited">;
}): ConcurrencyLimit {
  const running = new Map<string, number>();
  return {
    run: async (key, work) => {
      const before = running.get(key) ?? 0;
      if (before >= options.maximum) {
        shed(options.metrics, "concurrent_creates", 1);
      }
      running.set(key, before + 1);
      try {
        return await work();
      } finally {
        const left = (running.get(key) ?? 1) - 1;
        if (left === 0) {
          running.delete(key);
        } else {
          running.set(key, left);
        }
      }
    },
  };
}

function shed(metrics: Pick<Metrics, "rateLimited">, limit: RateLimitName, waitSeconds: number): void {
  if (waitSeconds > 0) {
    metrics.rateLimited(limit);
    throw new StatusError(tooManyRequests(waitSeconds));
  }
}
