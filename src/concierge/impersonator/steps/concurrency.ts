import type { Metrics, RateLimitName } from "../../../telemetry/metrics.ts";
import { StatusError, tooManyRequests } from "../../request/status.ts";
import type { Step } from "../request-context.ts";

/** How many requests may be under way at a time (contract 7.7, issue 6 item 7). */
export interface ProxyConcurrency {
  /** `get`, `list` and what else changes nothing. */
  readonly readOnly: number;
  readonly mutating: number;
  /** Watches, logs and sessions count apart, in total and per source. */
  readonly longRunning: number;
  readonly longRunningPerSource: number;
}

export const defaultProxyConcurrency: ProxyConcurrency = {
  readOnly: 400,
  mutating: 200,
  longRunning: 10_000,
  // A load balancer that hides addresses makes everybody one source, hence no small share.
  longRunningPerSource: 5_000,
};

const READ_ONLY_VERBS = new Set(["get", "list", "head", "options"]);
const RETRY_AFTER_SECONDS = 1;

/** Sheds with 429 what is too much at a time; what runs is not slowed down by it. */
export function createConcurrencyStep(options: {
  readonly concurrency: ProxyConcurrency;
  readonly metrics: Pick<Metrics, "rateLimited">;
}): Step {
  const { concurrency, metrics } = options;
  const running = { readOnly: 0, mutating: 0, longRunning: 0 };
  const perSource = new Map<string, number>();
  const shed = (limit: RateLimitName): never => {
    metrics.rateLimited(limit);
    throw new StatusError(tooManyRequests(RETRY_AFTER_SECONDS));
  };
  const releaseReadOnly = (): void => void running.readOnly--;
  const releaseMutating = (): void => void running.mutating--;
  return {
    name: "concurrency",
    run: (context) => {
      if (!context.longRunning) {
        const readOnly = READ_ONLY_VERBS.has(context.attributes.verb);
        const kind = readOnly ? "readOnly" : "mutating";
        if (running[kind] >= concurrency[kind]) {
          shed(readOnly ? "proxied_read_only" : "proxied_mutating");
        }
        running[kind]++;
        context.releases.push(readOnly ? releaseReadOnly : releaseMutating);
        return undefined;
      }
      if (running.longRunning >= concurrency.longRunning) {
        shed("proxied_long_running");
      }
      const source = context.source();
      const own = perSource.get(source) ?? 0;
      if (own >= concurrency.longRunningPerSource) {
        shed("proxied_long_running_per_source");
      }
      running.longRunning++;
      perSource.set(source, own + 1);
      context.releases.push(() => {
        running.longRunning--;
        const left = (perSource.get(source) ?? 1) - 1;
        if (left > 0) {
          perSource.set(source, left);
        } else {
          perSource.delete(source);
        }
      });
      return undefined;
    },
  };
}
