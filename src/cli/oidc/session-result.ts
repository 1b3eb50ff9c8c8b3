import { formatSeconds } from "../../rfc3339.ts";
import type { OidcLoginOptions, OidcLoginResult } from "./login.ts";
import { readClaims } from "./session-reuse.ts";
import type { SessionKey, SessionTokens } from "./session.ts";

/** Where a session of this login is kept (contract cli.md 6). */
export function sessionKeyOf(options: OidcLoginOptions): SessionKey {
  const { name } = options.upstreamIdentityProvider;
  return {
    issuer: options.issuer,
    clientID: options.clientId,
    scopes: options.scopes.toSorted(),
    redirect_uri: `http://localhost:${options.listenPort}/callback`,
    ...(name === "" ? {} : { upstream_provider_name: name }),
  };
}

/** The answer of a session whose ID token is used as it is; its expiry comes from the token alone (contract cli.md 12). */
export function resultOfSession(tokens: SessionTokens | undefined): OidcLoginResult {
  const token = tokens?.id?.token ?? "";
  const expiry = Date.parse(tokens?.id?.expiryTimestamp ?? "");
  const seconds = Number.isNaN(expiry) ? Number(readClaims(token)["exp"] ?? 0) : Math.floor(expiry / 1000);
  return {
    idToken: token,
    expirationTimestamp: formatSeconds(seconds * 1000),
  };
}
