import type { CredentialRequest } from "../cache/credential-request.ts";
import type { ClusterCredential, IssuedCredential, RenewCredential } from "../cache/credential.ts";
import { createSessionCache } from "../cache/session-cache.ts";
import { supplyCredential } from "../cache/supply-credential.ts";
import { CommandError } from "../command-error.ts";
import type { ParsedFlags } from "../command-line/flag.ts";
import type { CommandContext } from "../context.ts";
import { exchangeFailure, type ExchangeFlags, readExchangeFlags } from "../exec-credential/exchange-flags.ts";
import { oidcLoginOptions, readCaBundle } from "../exec-credential/oidc-flags.ts";
import { InteractionRequired } from "../interaction-required.ts";
import type { OidcLogin, OidcLoginOptions, OidcLoginResult } from "../oidc/login.ts";
import { performOidcLogin } from "../oidc/perform-login.ts";

/** The time for a whole login (contract cli.md 4.2). */
const LOGIN_LIMIT_MILLISECONDS = 90 * 60_000;

/** Steps 1 to 5 of contract cli.md 4.2, where the cache has no answer. */
export async function supplyByOidc(
  request: CredentialRequest & { readonly context: CommandContext },
  flags: ParsedFlags,
): Promise<ClusterCredential> {
  const call = { ...readExchangeFlags(flags), context: request.context };
  const renew = createOidcRenewal(call, flags, await readCaBundle(flags));
  return supplyCredential({ ...request, renew });
}

/** What a renewal needs of its call. */
interface OidcCall extends ExchangeFlags {
  readonly context: CommandContext;
}

/** Steps 3 to 5 of contract cli.md 4.2: log in, exchange, hand over to the cache. */
export function createOidcRenewal(
  call: OidcCall,
  flags: ParsedFlags,
  caBundlePem: string | undefined,
  logIn: OidcLogin = performOidcLogin,
): RenewCredential {
  const { context } = call;
  const sessions = createSessionCache({
    context,
    file: flags.string("session-cache"),
    debug: flags.boolean("debug-session-cache"),
  });
  return async ({ interactive, signal }) => {
    const deadline = new AbortController();
    const stopTimer = context.clock.schedule(LOGIN_LIMIT_MILLISECONDS, () => {
      deadline.abort(Object.assign(new Error("the login took too long"), { name: "TimeoutError" }));
    });
    try {
      const limited = AbortSignal.any([signal, deadline.signal]);
      context.log.debug("Performing OIDC login", {
        issuer: flags.string("issuer"),
        "client id": flags.string("client-id"),
      });
      const options: OidcLoginOptions = {
        ...oidcLoginOptions(flags, caBundlePem),
        sessions,
        interactive,
        signal: limited,
      };
      const result = await loggedIn(() => logIn(context, options));
      const issued = await issue(call, flags, result, { interactive, signal: limited });
      if (flags.string("credential-cache") !== "") {
        context.log.debug("caching cluster credential for future use.");
      }
      return issued;
    } finally {
      stopTimer();
    }
  };
}

async function loggedIn(work: () => Promise<OidcLoginResult>): Promise<OidcLoginResult> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CommandError && !(error instanceof InteractionRequired)) {
      throw new CommandError(error.code, `could not complete Pinniped login: ${error.message}`, error);
    }
    throw error;
  }
}

async function issue(
  call: OidcCall,
  flags: ParsedFlags,
  result: OidcLoginResult,
  limits: { readonly interactive: boolean; readonly signal: AbortSignal },
): Promise<IssuedCredential> {
  const { context, concierge, lifetimeSeconds } = call;
  if (concierge === undefined) {
    context.log.debug("No concierge configured, skipping token credential exchange");
    return {
      credential: { token: result.idToken, expirationTimestamp: result.expirationTimestamp },
      fromConcierge: false,
      ...(result.clockOffset === undefined ? {} : { clockOffset: result.clockOffset }),
      endpoint: flags.string("issuer"),
    };
  }
  context.log.debug("Exchanging token for cluster credential", {
    endpoint: concierge.endpoint,
    "authenticator type": flags.string("concierge-authenticator-type"),
    "authenticator name": concierge.authenticatorName,
  });
  const { exchangeToken } = await import("../concierge-client/exchange-token.ts");
  try {
    const issued = await exchangeToken(context, {
      parameters: concierge,
      token: result.idToken,
      ...(lifetimeSeconds === undefined ? {} : { lifetimeSeconds }),
      ...limits,
    });
    context.log.debug("Successfully exchanged token for cluster credential.");
    return issued;
  } catch (error) {
    throw exchangeFailure(error);
  }
}
