import type { Clock } from "../../clock.ts";
import { LanyardError, messageOf } from "../../errors.ts";
import { isNotFound } from "../../kube/api-error.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Obstacle } from "./obstacles.ts";

/** What one look at the cluster found: something in the way, or what was looked for. */
export type Findings<T> =
  | { readonly obstacles: readonly Obstacle[]; readonly found?: undefined }
  | { readonly obstacles: readonly []; readonly found: T };

export interface WaitOptions<T> {
  /** Throws what waiting cannot heal. */
  readonly look: () => Promise<Findings<T>>;
  /** Called before the first wait, and whenever what is in the way has changed. */
  readonly announce: (obstacles: readonly Obstacle[]) => Promise<void> | void;
  readonly clock: Clock;
  readonly log: Logger;
}

const FIRST_WAIT_MILLISECONDS = 1_000;
const LONGEST_WAIT_MILLISECONDS = 15_000;

/**
 * Looks until nothing is in the way: after 1 s, then ever more seldom, up to 15 s, and after 1 s again when something has
 * changed, for who puts one thing right does the next. One warning tells what is missing, another one whenever that
 * changes. An API server that does not answer ends the first look as any other error does (contract 9.1); later on it is
 * one more thing to wait for.
 */
export async function waitUntilReady<T>(options: WaitOptions<T>): Promise<T> {
  const { look, announce, clock, log } = options;
  let told: string | undefined;
  let wait = FIRST_WAIT_MILLISECONDS;
  for (;;) {
    const findings = await (told === undefined ? look() : look().catch(unreachable));
    const { obstacles } = findings;
    if (findings.found !== undefined) {
      if (told !== undefined) {
        log.info("nothing is missing any more, starting");
      }
      return findings.found;
    }
    const missing = obstacles.map(({ text }) => text);
    if (missing.join("\n") !== told) {
      told = missing.join("\n");
      wait = FIRST_WAIT_MILLISECONDS;
      const remedy = [...new Set(obstacles.map((obstacle) => obstacle.remedy))].join("; ");
      log.warning("cannot start yet: something is missing; waiting for it", { missing, remedy });
      await announce(obstacles);
    }
    await clock.sleep(wait);
    wait = Math.min(LONGEST_WAIT_MILLISECONDS, wait * 2);
  }
}

function unreachable(error: unknown): {
  readonly obstacles: readonly Obstacle[];
  readonly found?: undefined;
} {
  if (!isHealedByWaiting(error)) {
    throw error;
  }
  return {
    obstacles: [
      {
        name: "kube-apiserver",
        text: messageOf(error),
        remedy: "see why the kube-apiserver does not answer",
      },
    ],
  };
}

/**
 * Whatever a call to the API server fails with: it may be starting, or short of its own store. But a Pod that is not there
 * any more does not come back.
 */
function isHealedByWaiting(error: unknown): boolean {
  const isAboutOwners = error instanceof LanyardError && error.code.startsWith("installation.");
  const cause = isAboutOwners ? error.cause : error;
  return (
    cause instanceof LanyardError &&
    cause.code.startsWith("kubernetes.") &&
    !(isAboutOwners && isNotFound(cause))
  );
}
