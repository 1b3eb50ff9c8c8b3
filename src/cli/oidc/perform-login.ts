import { InteractionRequired } from "../interaction-required.ts";
import type { OidcLogin } from "./login.ts";
import type { OidcLoginParts } from "./login-call.ts";
import { requestedFlow } from "./requested-flow.ts";
import { resultOfSession, sessionKeyOf } from "./session-result.ts";
import { decideReuse } from "./session-reuse.ts";

/** A login with other parts than the process's own; see `performOidcLogin`. */
export function createOidcLogin(parts: () => Promise<OidcLoginParts>): OidcLogin {
  return async (context, options) => {
    const flow = requestedFlow(context.environment, options.upstreamIdentityProvider.flow);
    const key = sessionKeyOf(options);
    const tokens = await options.sessions.get(key);
    const { usable } = decideReuse(tokens, options.requestAudience, context.clock.now());
    if (usable === "id_token") {
      context.log.info("Pinniped: Found unexpired cached token.", { type: usable });
      return resultOfSession(tokens);
    }
    if (!options.interactive && usable === undefined && !tokens?.refresh) {
      throw new InteractionRequired("the session has ended: somebody must log in again");
    }
    const { renewSession } = await import("./renew-session.ts");
    return await renewSession({ context, options, key, flow, parts: await parts() });
  };
}

/**
 * Logs in at an OIDC issuer: by the cached session, its refresh token, or with a person's help (contract cli.md 4.3–4.8). A session
 * whose ID token is still good loads nothing more than this file. The caller prefixes errors with `could not complete Pinniped
 * login: `; `InteractionRequired` passes as it is.
 */
export const performOidcLogin: OidcLogin = createOidcLogin(async () => {
  const [{ createHttpClient }, { createTerminal }, { openBrowser }] = await Promise.all([
    import("../http/create-http-client.ts"),
    import("../terminal/terminal.ts"),
    import("./open-browser.ts"),
  ]);
  return { createHttpClient, createTerminal, openBrowser };
});
