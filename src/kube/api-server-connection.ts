import type { Clock } from "../clock.ts";
import type { InformerMetrics } from "./informer.ts";

export interface ApiServerConnection {
  /** Give these to the store; they are passed on. */
  readonly metrics: InformerMetrics;
  /** Fails once nothing was heard of the API server for `graceMilliseconds`: what this replica knows is getting old then. */
  readonly readiness: { readonly name: string; problem(): string | undefined };
}

export interface ApiServerConnectionOptions {
  readonly clock: Clock;
  readonly metrics: InformerMetrics;
  /** Watches end and begin again every few minutes; default 3,000. */
  readonly graceMilliseconds?: number;
}

/** A watch that stays open for this long was accepted; one that is refused ends sooner. */
const ACCEPTED_MILLISECONDS = 1_000;

/** Whether the API server can be reached, told by the watches that stay open to it anyway. */
export function createApiServerConnection(options: ApiServerConnectionOptions): ApiServerConnection {
  const { clock, metrics, graceMilliseconds = 3_000 } = options;
  /** When each open watch began, by resource. */
  const open = new Map<string, number[]>();
  let lastHeard = clock.now();
  const heard = (): void => {
    lastHeard = clock.now();
  };
  const isAccepted = (startedAt: number): boolean => clock.now() - startedAt >= ACCEPTED_MILLISECONDS;
  return {
    metrics: {
      listed: (resource, ok, seconds) => {
        if (ok) {
          heard();
        }
        metrics.listed(resource, ok, seconds);
      },
      watchStarted: (resource) => {
        open.set(resource, [...(open.get(resource) ?? []), clock.now()]);
        metrics.watchStarted(resource);
      },
      watchEnded: (resource, reason) => {
        const startedAt = open.get(resource)?.pop();
        if (startedAt !== undefined && isAccepted(startedAt)) {
          heard();
        }
        metrics.watchEnded(resource, reason);
      },
      seen: (resource, now) => {
        heard();
        metrics.seen(resource, now);
      },
      storeSize: (resource, objects) => metrics.storeSize(resource, objects),
    },
    readiness: {
      name: "kube-apiserver",
      problem: () => {
        if ([...open.values()].flat().some(isAccepted)) {
          heard();
        }
        return clock.now() - lastHeard < graceMilliseconds
          ? undefined
          : "the kube-apiserver cannot be reached";
      },
    },
  };
}
