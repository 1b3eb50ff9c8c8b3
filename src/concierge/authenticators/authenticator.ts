import type { Identity } from "../../identity/identity.ts";

/** The reference a TokenCredentialRequest names its authenticator by; group always in the `pinniped.dev` form (contract 2.3). */
export interface AuthenticatorReference {
  readonly apiGroup: string;
  readonly kind: "JWTAuthenticator" | "WebhookAuthenticator";
  readonly name: string;
}

/** What an authenticator's object says about the steps that follow it in the exchange. */
export interface AuthenticatorSettings {
  /** Reserved names that its identities may have all the same, exactly (S1). */
  readonly allowedUsernames?: readonly string[] | undefined;
  readonly allowedGroups?: readonly string[] | undefined;
  /** The longest that its identities' credentials live. */
  readonly maximumLifetimeSeconds?: number | undefined;
}

/** Whom a token speaks of, and until when. */
export interface AuthenticatedIdentity extends Identity {
  /** When the token ends, milliseconds since the epoch; absent where nobody knows, as behind a webhook (S7). */
  readonly tokenExpiresAt?: number | undefined;
}

/**
 * Token in, identity out.
 * Answers `undefined` when the token is not one of this authenticator's (contract 4.5 "not mine", a webhook's
 * `authenticated: false`); throws when the token is bad or the verdict could not be had (S4: no answer is a refusal).
 */
export interface Authenticator {
  authenticate(token: string, signal: AbortSignal): Promise<AuthenticatedIdentity | undefined>;
  /** What the steps after it go by; absent: no exceptions and no tighter bounds. */
  readonly settings?: AuthenticatorSettings | undefined;
  /** Stops background work such as a key refresh. */
  close(): void;
}

/** One text for each reference, whatever its parts hold: the lengths say where they end. */
export function authenticatorKey(reference: {
  readonly apiGroup: string;
  readonly kind: string;
  readonly name: string;
}): string {
  const { apiGroup, kind, name } = reference;
  return `${apiGroup.length},${kind.length}:${apiGroup}${kind}${name}`;
}

/** The set of authenticators in force: written by controllers, read by the exchange. */
export interface AuthenticatorSet {
  get(reference: {
    readonly apiGroup: string;
    readonly kind: string;
    readonly name: string;
  }): Authenticator | undefined;
}

/** The group under which every authenticator is filed, whatever the API group suffix (contract 2.3). */
export const AUTHENTICATION_GROUP = "authentication.concierge.pinniped.dev";
