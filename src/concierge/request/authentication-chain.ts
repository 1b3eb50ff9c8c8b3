import type { Identity } from "../../identity/identity.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { AuthenticationRequest, RequestAuthenticator } from "./request-authenticator.ts";
import { StatusError, unauthorized } from "./status.ts";
import { messageOf } from "../../errors.ts";

export const ANONYMOUS_USER = "system:anonymous";
export const UNAUTHENTICATED_GROUP = "system:unauthenticated";
export const AUTHENTICATED_GROUP = "system:authenticated";

/** Nobody in particular, as the API server names it. */
export const anonymousIdentity: Identity = {
  username: ANONYMOUS_USER,
  groups: [UNAUTHENTICATED_GROUP],
  extra: {},
};

/** Who made a request, and how that is known. */
export interface Authentication {
  readonly identity: Identity;
  /** Name of the authenticator, or `anonymous`. */
  readonly method: string;
}

export interface AuthenticationChain {
  /**
   * The first authenticator that knows the user wins. When none does and any of them met something bad, the request is
   * refused with 401 (contract 1.4 item 4); a `StatusError` of an authenticator, such as 400 or 429, refuses at once.
   */
  authenticate(request: AuthenticationRequest): Promise<Authentication>;
}

export function createAuthenticationChain(
  authenticators: readonly RequestAuthenticator[],
  log: Logger,
): AuthenticationChain {
  return {
    authenticate: async (request) => {
      const reasons: string[] = [];
      for (const authenticator of authenticators) {
        try {
          const identity = await authenticator.authenticate(request);
          if (identity !== undefined) {
            return { identity: withAuthenticatedGroup(identity), method: authenticator.name };
          }
        } catch (error) {
          if (error instanceof StatusError) {
            throw error;
          }
          reasons.push(`${authenticator.name}: ${messageOf(error)}`);
        }
      }
      if (reasons.length > 0) {
        log.debug("unable to authenticate the request", { reasons });
        throw new StatusError(unauthorized());
      }
      return { identity: anonymousIdentity, method: "anonymous" };
    },
  };
}

/** Adds `system:authenticated` to everybody who is somebody and says neither that nor the opposite (contract 1.3). */
export function withAuthenticatedGroup(identity: Identity): Identity {
  if (
    identity.username === ANONYMOUS_USER ||
    identity.groups.includes(AUTHENTICATED_GROUP) ||
    identity.groups.includes(UNAUTHENTICATED_GROUP)
  ) {
    return identity;
  }
  return { ...identity, groups: [...identity.groups, AUTHENTICATED_GROUP] };
}
