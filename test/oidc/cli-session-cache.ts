import type { SessionCache, SessionKey, SessionTokens } from "../../src/cli/oidc/session.ts";

/** A session cache in memory: what it holds can be set and read, and one caller at a time has the lock. */
export interface MemorySessionCache extends SessionCache {
  readonly sessions: Map<string, { readonly key: SessionKey; readonly tokens: SessionTokens }>;
  readonly puts: SessionTokens[];
  /** The only session there is. */
  readonly only: () => SessionTokens | undefined;
}

export function createMemorySessionCache(): MemorySessionCache {
  const sessions: MemorySessionCache["sessions"] = new Map();
  const puts: SessionTokens[] = [];
  let last: Promise<unknown> = Promise.resolve();
  return {
    sessions,
    puts,
    only: () => [...sessions.values()][0]?.tokens,
    get: (key) => Promise.resolve(sessions.get(JSON.stringify(key))?.tokens),
    put: (key, tokens) => {
      puts.push(tokens);
      sessions.set(JSON.stringify(key), { key, tokens });
      return Promise.resolve();
    },
    remove: (key) => {
      sessions.delete(JSON.stringify(key));
      return Promise.resolve();
    },
    list: () => Promise.resolve([...sessions.values()]),
    exclusively: async (_key, _signal, work) => {
      const turn = last.then(work, work);
      last = turn.catch(() => {});
      return await turn;
    },
  };
}
