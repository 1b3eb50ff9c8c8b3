import { Agent } from "node:https";
import type { Answer } from "./http.ts";

/** One request that did not end as it should. */
export interface LoadFailure {
  /** Milliseconds since the load began. */
  readonly at: number;
  readonly reason: string;
}

export interface LoadResult {
  readonly sent: number;
  readonly failures: readonly LoadFailure[];
  readonly slowestMilliseconds: number;
}

export interface Load {
  /** What was counted so far. */
  result(): LoadResult;
  /** Sends nothing more, waits for the answers that are missing, and counts them too. */
  stop(): Promise<LoadResult>;
}

/**
 * An open loop: requests start by the clock, however long the earlier ones take, so that a stall is not hidden by the
 * client's own waiting. Every answer but `expectedStatus` is a failure, and so is none.
 */
export function startLoad(options: {
  readonly perSecond: number;
  readonly expectedStatus: number;
  send(agent: Agent): Promise<Answer>;
}): Load {
  const { perSecond, expectedStatus } = options;
  const agent = new Agent({ keepAlive: true, maxFreeSockets: 64 });
  const started = performance.now();
  const open = new Set<Promise<void>>();
  const failures: LoadFailure[] = [];
  let sent = 0;
  let slowestMilliseconds = 0;

  const sendOne = async (): Promise<void> => {
    const at = performance.now();
    const fail = (reason: string): void => {
      failures.push({ at: Math.round(at - started), reason });
    };
    try {
      const { status, text } = await options.send(agent);
      if (status !== expectedStatus) {
        fail(`${status} ${text.slice(0, 300)}`);
      }
    } catch (error) {
      fail(String(error));
    }
    slowestMilliseconds = Math.max(slowestMilliseconds, Math.round(performance.now() - at));
  };
  const ticking = setInterval(() => {
    const due = Math.floor(((performance.now() - started) / 1000) * perSecond);
    for (; sent < due; sent++) {
      const one = sendOne();
      open.add(one);
      void one.then(() => open.delete(one));
    }
  }, 5);
  // Whoever fails before `stop` must not keep the process alive.
  ticking.unref();
  const result = (): LoadResult => ({ sent, failures: [...failures], slowestMilliseconds });
  return {
    result,
    stop: async () => {
      clearInterval(ticking);
      await Promise.all(open);
      agent.destroy();
      return result();
    },
  };
}
