import type { SessionCache, SessionKey, SessionTokens } from "../oidc/session.ts";
import type { CacheEntry } from "./cache-document.ts";
import { cacheStoreName } from "./cache-store.ts";
import type { StoreContext } from "./cache-store.ts";
import { changeCache, flightLockPath } from "./cache-transaction.ts";
import type { CacheProblem } from "./cache-transaction.ts";
import {
  isSession,
  pruneSessions,
  sessionKeyOf,
  storedSessionKey,
  tokensOf,
  withSession,
  withSessionUsed,
} from "./session-entry.ts";
import { sha256 } from "./sha256.ts";
import { enterSingleFlight } from "./single-flight.ts";

export interface SessionCacheOptions {
  readonly context: StoreContext;
  /** Path of `sessions.yaml`; empty: no session is kept. */
  readonly file: string;
  /** `--debug-session-cache`: errors are shown whatever the level of the log. */
  readonly debug: boolean;
}

/** How long a session's lock is waited for if nothing else ends it: the limit of a login (contract cli.md 4.2), milliseconds. */
const LOCK_LIMIT = 90 * 60_000;

/** Where there is no place for one: every login is a full one. */
const noSessions: SessionCache = {
  get: () => Promise.resolve(undefined),
  put: () => Promise.resolve(),
  remove: () => Promise.resolve(),
  list: () => Promise.resolve([]),
  exclusively: (_key, _signal, work) => work(),
};

/** `sessions.yaml`, shared with the existing CLI by the rules of contract cli.md 6, but written atomically. */
export function createSessionCache({ context, file, debug }: SessionCacheOptions): SessionCache {
  if (file === "") {
    return noSessions;
  }
  const report = sessionReporter(context, debug);
  const change = (
    work: (entries: readonly CacheEntry[], now: number) => readonly CacheEntry[],
  ): Promise<boolean> =>
    changeCache({
      context,
      file,
      kind: "SessionCache",
      noun: "session",
      report,
      change: (entries) => {
        const now = context.clock.now();
        return pruneSessions(work(pruneSessions(entries, now), now), now);
      },
    });
  return {
    get: async (key) => {
      if (!(await exists(context, file))) {
        return undefined;
      }
      let tokens: SessionTokens | undefined;
      const done = await change((entries, now) => {
        const found = entries.find((entry) => isSession(entry, key));
        if (found === undefined) {
          return entries;
        }
        tokens = tokensOf(found);
        return withSessionUsed(entries, found, now);
      });
      // What cannot be written back must not be used either: its refresh token works once, and the new one would be lost.
      return done ? tokens : undefined;
    },
    put: async (key, tokens) => {
      await change((entries, now) => withSession(entries, key, tokens, now));
    },
    remove: async (key) => {
      if (await exists(context, file)) {
        await change((entries) => {
          const kept = entries.filter((entry) => !isSession(entry, key));
          return kept.length === entries.length ? entries : kept;
        });
      }
    },
    list: async () => {
      const sessions: { readonly key: SessionKey; readonly tokens: SessionTokens }[] = [];
      if (await exists(context, file)) {
        await change((entries) => {
          for (const entry of entries) {
            const key = sessionKeyOf(entry);
            if (key !== undefined) {
              sessions.push({ key, tokens: tokensOf(entry) });
            }
          }
          return entries;
        });
      }
      return sessions;
    },
    exclusively: async (key, signal, work) => {
      const flight = await enterSingleFlight({
        context,
        path: flightLockPath(file, sha256(JSON.stringify(storedSessionKey(key)))),
        limit: LOCK_LIMIT,
        signal,
        report: (text) => report({ kind: "failed", text: `could not lock session: ${text}` }),
      });
      try {
        return await work();
      } finally {
        if (flight !== "busy") {
          flight.leave();
        }
      }
    },
  };
}

/** A lookup in a file that is not there makes no lock and no folder (contract cli.md 6). */
async function exists(context: StoreContext, file: string): Promise<boolean> {
  if (cacheStoreName(context.environment) !== "file") {
    return true;
  }
  const { existsSync } = await import("node:fs");
  return existsSync(file);
}

function sessionReporter(context: StoreContext, debug: boolean): (problem: CacheProblem) => void {
  return ({ kind, text }) => {
    if (debug) {
      context.log.error("error during session cache operation", { error: text });
    } else if (kind === "refused") {
      context.log.error("the session cache is not used", { reason: text });
    } else {
      context.log.debug("error during session cache operation", { error: text });
    }
  };
}
