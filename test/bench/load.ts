// One kind of request over kept-alive TLS connections, as fast as it goes or at a fixed rate.
import { Agent, request } from "node:https";
import { setTimeout as delay } from "node:timers/promises";

/** What every answer to a successful exchange holds. */
export const CREDENTIAL = "clientCertificateData";

/** What is posted, and where. */
export interface Target {
  readonly port: number;
  /** Verifies the server as `localhost`. */
  readonly caPem: string;
  readonly path: string;
  readonly body: string;
}

/** A client that keeps its connections. */
export interface Load {
  /** The body of one answer. */
  post(target: Target): Promise<string>;
  /** Posts `count` times over all connections; answers how many bodies held `expected`. */
  closedLoop(target: Target, count: number, expected: string): Promise<number>;
  /**
   * Starts `perSecond` posts a second for `seconds`, whether or not earlier ones are answered. Answers milliseconds from the moment
   * each was due, in ascending order; throws when one fails or does not hold `expected`.
   */
  openLoop(target: Target, perSecond: number, seconds: number, expected: string): Promise<readonly number[]>;
  close(): void;
}

export function createLoad(connections: number): Load {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });

  const post = ({ port, caPem, path, body }: Target): Promise<string> =>
    new Promise((resolve, reject) => {
      const outgoing = request(
        {
          agent,
          host: "127.0.0.1",
          port,
          ca: caPem,
          servername: "localhost",
          method: "POST",
          path,
          headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () => resolve(Buffer.concat(chunks).toString("latin1")));
        },
      );
      outgoing.on("error", reject);
      outgoing.end(body);
    });

  return {
    post,
    closedLoop: async (target, count, expected) => {
      let left = count;
      let good = 0;
      const worker = async (): Promise<void> => {
        while (left > 0) {
          left -= 1;
          if ((await post(target)).includes(expected)) {
            good += 1;
          }
        }
      };
      await Promise.all(Array.from({ length: connections }, worker));
      return good;
    },
    openLoop: async (target, perSecond, seconds, expected) => {
      const started = performance.now();
      const running: Promise<number>[] = [];
      const timed = async (due: number): Promise<number> => {
        if (!(await post(target)).includes(expected)) {
          throw new Error("an answer is not the expected one");
        }
        return performance.now() - due;
      };
      for (let index = 0; index < perSecond * seconds; index++) {
        const due = started + (index * 1000) / perSecond;
        while (performance.now() < due) {
          await delay(Math.max(1, due - performance.now()));
        }
        running.push(timed(due));
      }
      return (await Promise.all(running)).toSorted((a, b) => a - b);
    },
    close: () => agent.destroy(),
  };
}

/** The value below which the share `p` of an ascending list lies. */
export function percentile(ascending: readonly number[], p: number): number {
  return ascending[Math.min(ascending.length - 1, Math.floor(ascending.length * p))] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return percentile(
    values.toSorted((a, b) => a - b),
    0.5,
  );
}
