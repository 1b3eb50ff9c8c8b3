/** What a session is found by: stored in clear and compared field by field (contract cli.md 6). */
export interface SessionKey {
  readonly issuer: string;
  readonly clientID: string;
  /** Sorted. */
  readonly scopes: readonly string[];
  /** `http://localhost:<listen port or 0>/callback`, never the real port. */
  readonly redirect_uri: string;
  readonly upstream_provider_name?: string;
}

export interface SessionTokens {
  /** `expiryTimestamp`: RFC 3339 or null for none. */
  readonly access?: {
    readonly token: string;
    readonly type?: string;
    readonly expiryTimestamp: string | null;
  } | null;
  readonly refresh?: { readonly token: string } | null;
  readonly id?: {
    readonly token: string;
    readonly expiryTimestamp: string | null;
    readonly claims?: Readonly<Record<string, unknown>>;
  } | null;
}

/** `sessions.yaml`, or the store that is in its place. Neither call throws: what goes wrong is logged and acts as a miss. */
export interface SessionCache {
  get(key: SessionKey): Promise<SessionTokens | undefined>;
  put(key: SessionKey, tokens: SessionTokens): Promise<void>;
  remove(key: SessionKey): Promise<void>;
  /** Every session there is, for `logout --all`. */
  list(): Promise<readonly { readonly key: SessionKey; readonly tokens: SessionTokens }[]>;
  /**
   * Runs `work` while no other process holds this session's lock (contract cli.md 13.3 rule 6): re-read with `get` inside. Waits for
   * the holder until `signal` aborts.
   */
  exclusively<T>(key: SessionKey, signal: AbortSignal, work: () => Promise<T>): Promise<T>;
}
