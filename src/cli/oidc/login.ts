import type { CommandContext } from "../context.ts";
import type { SessionCache } from "./session.ts";

/** The flags of `login oidc` that the login itself needs (contract cli.md 4.1), already checked for their form. */
export interface OidcLoginOptions {
  readonly issuer: string;
  readonly clientId: string;
  readonly scopes: readonly string[];
  readonly listenPort: number;
  readonly skipBrowser: boolean;
  readonly skipListen: boolean;
  /** PEM certificates of --ca-bundle and --ca-bundle-data; absent: no such flag was given, system roots count. */
  readonly caBundlePem?: string;
  readonly requestAudience?: string;
  readonly upstreamIdentityProvider: {
    readonly name: string;
    readonly type: string;
    /** As asked for, with where it came from (the flag's or variable's name). */
    readonly flow?: { readonly value: string; readonly source: string };
  };
  readonly sessions: SessionCache;
  /**
   * Log in by the device authorization grant (RFC 8628) in place of browser and password; absent: when the environment variable
   * `LANYARD_DEVICE_CODE` is `true`.
   */
  readonly deviceCode?: boolean;
  /** false: an early renewal; throws `InteractionRequired` where a person would be needed (contract cli.md 13.3 rule 4). */
  readonly interactive: boolean;
  readonly signal: AbortSignal;
}

/** The ID token to use: the exchanged one when an audience was asked for. */
export interface OidcLoginResult {
  readonly idToken: string;
  /** RFC 3339, whole seconds, from the token's `exp`. */
  readonly expirationTimestamp: string;
  /** Milliseconds by which the issuer's `Date` was ahead of the local clock, where a call was made. */
  readonly clockOffset?: number;
}

export type OidcLogin = (context: CommandContext, options: OidcLoginOptions) => Promise<OidcLoginResult>;
