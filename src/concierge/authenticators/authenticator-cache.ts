import { authenticatorKey } from "./authenticator.ts";
import type { Authenticator, AuthenticatorReference, AuthenticatorSet } from "./authenticator.ts";

/** An authenticator in force, with what it was made from. */
export interface CachedAuthenticator {
  readonly authenticator: Authenticator;
  /** Equal exactly when a new authenticator would be made from the same settings (contract 4.7). */
  readonly fingerprint: string;
  /** The same without what only expressions and settings say: equal while tokens are judged by the same server and keys. */
  readonly sourceFingerprint?: string | undefined;
}

/** The writer's side of the set; whatever leaves it is closed. */
export interface AuthenticatorCache extends AuthenticatorSet {
  entry(reference: AuthenticatorReference): CachedAuthenticator | undefined;
  set(reference: AuthenticatorReference, entry: CachedAuthenticator): void;
  delete(reference: AuthenticatorReference): void;
  references(): readonly AuthenticatorReference[];
  /** Closes and forgets all. */
  close(): void;
}

/** Keys are group, kind and name, compared exactly (contract 2.3). */
export function createAuthenticatorCache(): AuthenticatorCache {
  const entries = new Map<string, CachedAuthenticator & { readonly reference: AuthenticatorReference }>();
  return {
    get: (reference) => entries.get(authenticatorKey(reference))?.authenticator,
    entry: (reference) => entries.get(authenticatorKey(reference)),
    set: (reference, entry) => {
      const key = authenticatorKey(reference);
      const before = entries.get(key);
      entries.set(key, { ...entry, reference });
      if (before !== undefined && before.authenticator !== entry.authenticator) {
        before.authenticator.close();
      }
    },
    delete: (reference) => {
      const key = authenticatorKey(reference);
      const before = entries.get(key);
      entries.delete(key);
      before?.authenticator.close();
    },
    references: () => [...entries.values()].map((entry) => entry.reference),
    close: () => {
      for (const entry of entries.values()) {
        entry.authenticator.close();
      }
      entries.clear();
    },
  };
}
