import { messageOf } from "../../errors.ts";
import { InteractionRequired } from "../interaction-required.ts";
import type { OidcLoginResult } from "./login.ts";
import type { LoginCall } from "./login-call.ts";
import { ISSUER_CALL_TIMEOUT } from "./login-call.ts";
import { ExchangeRefused, exchangeAudience } from "./exchange-audience.ts";
import { throwIfOver } from "./failed-call.ts";
import { loginInteractively } from "./interactive-login.ts";
import type { Provider } from "./provider.ts";
import { discoverProvider } from "./provider.ts";
import { acceptTokens, withoutIdToken } from "./accept-tokens.ts";
import { InvalidIdToken } from "./verify-token.ts";
import { resultOfSession } from "./session-result.ts";
import type { ReceivedSession } from "./redeem-authorization.ts";
import { decideReuse, isExchangeNeeded } from "./session-reuse.ts";
import type { SessionTokens } from "./session.ts";
import { refreshTokens } from "./token-endpoint.ts";

/** Milliseconds for a whole login, a person's part included (contract cli.md 4.2). */
const LOGIN_TIMEOUT = 90 * 60_000;

/**
 * Everything behind a session that does not answer by itself. One process at a time per session, from the look into the cache to
 * the exchange: refresh tokens are single use, and a rotation kills the access token that somebody else is exchanging (contract
 * cli.md 13.2, 13.3 rule 6).
 */
export async function renewSession(login: Omit<LoginCall, "http" | "signal">): Promise<OidcLoginResult> {
  const { context, options, key, parts } = login;
  const limit = new AbortController();
  const cancelLimit = context.clock.schedule(LOGIN_TIMEOUT, () =>
    limit.abort(Object.assign(new Error("the login took too long"), { name: "TimeoutError" })),
  );
  const signal = AbortSignal.any([context.signal, options.signal, limit.signal]);
  const http = await parts.createHttpClient(context, {
    profile: "default",
    timeout: ISSUER_CALL_TIMEOUT,
    logAuditIds: "failures",
    warnings: options.interactive ? "shown" : "hidden",
    ...(options.caBundlePem === undefined ? {} : { caPem: options.caBundlePem }),
  });
  try {
    return await options.sessions.exclusively(key, signal, () => renewAlone({ ...login, http, signal }));
  } finally {
    cancelLimit();
    await http.close();
  }
}

async function renewAlone(call: LoginCall): Promise<OidcLoginResult> {
  const { context, options, key } = call;
  const { requestAudience } = options;
  const cached = await options.sessions.get(key);
  const { usable } = decideReuse(cached, requestAudience, context.clock.now());
  if (usable !== undefined) {
    context.log.info("Pinniped: Found unexpired cached token.", { type: usable });
  }
  if (usable === "id_token") {
    return resultOfSession(cached);
  }
  if (!options.interactive && usable === undefined && !cached?.refresh) {
    throw new InteractionRequired("the session has ended: somebody must log in again");
  }

  const provider = await discoverProvider(call);
  if (usable === "access_token" && requestAudience !== undefined) {
    try {
      return await exchangeAudience(call, provider, cached?.access?.token ?? "", requestAudience);
    } catch (error) {
      // Another device's or program's rotation ends an access token before its time; the refresh token tells whether the session lives.
      if (!(error instanceof ExchangeRefused) || !cached?.refresh) {
        throw error;
      }
      context.log.info("Pinniped: Cached access token was refused.", { error: error.message });
    }
  }
  const { tokens, clockOffset } =
    (await refreshSession(call, provider, cached)) ?? (await logIn(call, provider));
  if (requestAudience !== undefined && isExchangeNeeded(tokens, requestAudience)) {
    return await exchangeAudience(call, provider, tokens.access?.token ?? "", requestAudience);
  }
  return { ...resultOfSession(tokens), ...(clockOffset === undefined ? {} : { clockOffset }) };
}

/** Another program stores what it got within moments of getting it; milliseconds. */
const REPLACEMENT_LOOKS: readonly number[] = [0, 250, 250];

/** The refresh grant, or nothing where there is no refresh token or the issuer does not take it. */
async function refreshSession(
  call: LoginCall,
  provider: Provider,
  cached: SessionTokens | undefined,
  refusedBefore: readonly string[] = [],
): Promise<ReceivedSession | undefined> {
  const { context, options, key } = call;
  const refreshToken = cached?.refresh?.token;
  if (refreshToken === undefined || refreshToken === "") {
    return undefined;
  }
  context.log.info("Pinniped: Refreshing cached tokens.");
  let answer;
  try {
    answer = await refreshTokens(call, provider, refreshToken);
  } catch (error) {
    context.log.info("Pinniped: Refresh failed.", { error: messageOf(error) });
    throwIfOver(call.signal);
    const refused = [...refusedBefore, refreshToken];
    const replaced = refusedBefore.length === 0 ? await replacedSession(call, refused) : undefined;
    if (replaced !== undefined) {
      const { usable } = decideReuse(replaced, options.requestAudience, context.clock.now());
      return usable === undefined
        ? refreshSession(call, provider, replaced, refused)
        : { tokens: replaced, clockOffset: undefined };
    }
    if (!options.interactive) {
      throw new InteractionRequired(`the session could not be refreshed: ${messageOf(error)}`, error);
    }
    return undefined;
  }
  try {
    const tokens = await acceptTokens(call, provider, answer, { previousRefreshToken: refreshToken });
    await options.sessions.put(key, tokens);
    return { tokens, clockOffset: answer.clockOffset };
  } catch (error) {
    // The old refresh token is spent: losing the new one to a failed call for keys or user info would end the session.
    if (!(error instanceof InvalidIdToken)) {
      await options.sessions.put(key, withoutIdToken(call, answer, refreshToken));
    }
    throw error;
  }
}

/**
 * What another program has put in the place of a session whose refresh token it used at the same time: the existing CLI does not
 * know of this one's locks, and a refresh token works once.
 */
async function replacedSession(
  { context, options, key, signal }: LoginCall,
  refused: readonly string[],
): Promise<SessionTokens | undefined> {
  for (const pause of REPLACEMENT_LOOKS) {
    await context.clock.sleep(pause, signal);
    const found = await options.sessions.get(key);
    const token = found?.refresh?.token ?? "";
    if (token !== "" && !refused.includes(token)) {
      return found;
    }
  }
  return undefined;
}

async function logIn(call: LoginCall, provider: Provider): Promise<ReceivedSession> {
  if (!call.options.interactive) {
    throw new InteractionRequired("the session has ended: somebody must log in again");
  }
  const { tokens, clockOffset } = await loginInteractively(call, provider);
  await call.options.sessions.put(call.key, tokens);
  return { tokens, clockOffset };
}
