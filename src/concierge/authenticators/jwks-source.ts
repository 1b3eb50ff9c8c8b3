import type { JSONWebKeySet, LocalJWKSet } from "jose";
import { createLocalJWKSet } from "jose";
import type { Clock } from "../../clock.ts";
import { LanyardError } from "../../errors.ts";
import type { Logger } from "../../telemetry/log.ts";
import { goQuote } from "../../go-text.ts";
import { parseJsonObject } from "./oidc-discovery.ts";
import type { OutboundHttp } from "./outbound-http.ts";

export interface JwksSourceOptions {
  readonly url: URL;
  readonly http: OutboundHttp;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long keys stay in force while fetches fail; default 86,400, 0 = for ever (S5). */
  readonly maximumStaleSeconds?: number | undefined;
  /** Told of the end of every fetch; for metrics. */
  readonly onFetched?: ((succeeded: boolean) => void) | undefined;
  /** Between scheduled fetches; default 300,000 (S5). */
  readonly refreshMilliseconds?: number | undefined;
  /** Between fetches that a token causes, failed ones included; default 30,000 (engineering.md 4.6). */
  readonly cooldownMilliseconds?: number | undefined;
}

/** The key set of one issuer, kept fresh in the background. */
export interface JwksSource {
  /** The keys in force; nothing before the first fetch and once they are too old. */
  current(): LocalJWKSet | undefined;
  /**
   * Fetches now, for a token whose key is unknown or does not verify. Answers whether `current()` has been replaced since
   * `seen` was taken. Callers share one fetch; while the last one that a token caused is too recent, nothing is fetched.
   */
  refreshAfter(seen: LocalJWKSet | undefined, signal: AbortSignal): Promise<boolean>;
  /** Fetches now and starts the schedule; throws `JwksError` when there are no keys after it. */
  start(signal: AbortSignal): Promise<void>;
  /** Seconds since the keys were fetched; `undefined` before the first time. For a metric. */
  ageSeconds(): number | undefined;
  /** Ends the schedule; running fetches end by themselves and change nothing any more. */
  close(): void;
}

/** Keys could not be had; `message` reads `oidc: …` (contract 4.4, JWKSFetchValid). */
export class JwksError extends LanyardError {
  constructor(message: string, cause?: unknown) {
    super({ code: "oidc.jwks", message, cause, httpStatus: 502 });
    this.name = "JwksError";
  }
}

const MAXIMUM_BYTES = 1024 * 1024;
const MAXIMUM_KEYS = 100;

export function createJwksSource(options: JwksSourceOptions): JwksSource {
  const { clock, http, url, log } = options;
  const refreshMilliseconds = options.refreshMilliseconds ?? 300_000;
  const cooldownMilliseconds = options.cooldownMilliseconds ?? 30_000;
  const maximumStaleMilliseconds = (options.maximumStaleSeconds ?? 86_400) * 1000;
  let keys: LocalJWKSet | undefined;
  let fetchedAt = 0;
  let causedAt = Number.NEGATIVE_INFINITY;
  let inFlight: Promise<void> | undefined;
  let cancelSchedule = (): void => {};
  let closed = false;

  const current = (): LocalJWKSet | undefined => {
    if (maximumStaleMilliseconds > 0 && clock.now() - fetchedAt > maximumStaleMilliseconds) {
      keys = undefined;
    }
    return keys;
  };

  const fetchKeys = (): Promise<void> => {
    inFlight ??= (async () => {
      try {
        const set = await fetchKeySet(url, http);
        if (!closed) {
          keys = createLocalJWKSet(set);
          fetchedAt = clock.now();
          options.onFetched?.(true);
        }
      } catch (error) {
        if (!closed) {
          options.onFetched?.(false);
        }
        throw error;
      } finally {
        inFlight = undefined;
      }
    })();
    return inFlight;
  };

  const schedule = (): void => {
    cancelSchedule();
    if (closed) {
      return;
    }
    cancelSchedule = clock.schedule(refreshMilliseconds, () => {
      schedule();
      fetchKeys().catch((error: unknown) => {
        log.warning("could not refresh the keys of an issuer, the last ones stay in force", {
          jwksUrl: `${url.origin}${url.pathname}`,
          ageSeconds: Math.floor((clock.now() - fetchedAt) / 1000),
          reason: error instanceof Error ? error.message.slice(0, 300) : "unknown",
        });
      });
    });
  };

  return {
    current,
    refreshAfter: async (seen, signal) => {
      if (current() !== seen) {
        return true;
      }
      if (inFlight === undefined) {
        if (closed || clock.now() - causedAt < cooldownMilliseconds) {
          return false;
        }
        causedAt = clock.now();
      }
      // The fetch has a time limit of its own: it serves other callers too, whatever becomes of this one.
      await settledOrAborted(fetchKeys(), signal);
      return current() !== seen;
    },
    start: async (signal) => {
      await settledOrAborted(fetchKeys(), signal);
      schedule();
    },
    ageSeconds: () => (keys === undefined ? undefined : (clock.now() - fetchedAt) / 1000),
    close: () => {
      closed = true;
      cancelSchedule();
    },
  };
}

async function fetchKeySet(url: URL, http: OutboundHttp): Promise<JSONWebKeySet> {
  let answer;
  try {
    answer = await http.send({ method: "GET", url, maximumBytes: MAXIMUM_BYTES });
  } catch (error) {
    throw new JwksError(
      `oidc: get keys failed ${error instanceof Error ? error.message : String(error)}`,
      error,
    );
  }
  if (answer.status !== 200) {
    throw new JwksError(`oidc: get keys failed: ${answer.statusLine} ${answer.body.toString("utf8")}`);
  }
  const keys = parseJsonObject(answer.body)?.["keys"];
  if (
    !Array.isArray(keys) ||
    !keys.every((key) => typeof key === "object" && key !== null && !Array.isArray(key))
  ) {
    throw new JwksError(
      `oidc: failed to decode keys: the answer (Content-Type ${goQuote(answer.contentType)}) is not a JSON Web Key Set`,
    );
  }
  if (keys.length > MAXIMUM_KEYS) {
    throw new JwksError(`oidc: failed to decode keys: ${keys.length} keys are more than ${MAXIMUM_KEYS}`);
  }
  // A shared secret is no public key, whatever a token's header says about its algorithm.
  return { keys: (keys as JSONWebKeySet["keys"]).filter((key) => key.kty !== "oct") };
}

async function settledOrAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  // Whoever gave up does not hear of the end any more.
  work.catch(() => {});
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason as Error);
  signal.addEventListener("abort", abort, { once: true });
  try {
    await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
