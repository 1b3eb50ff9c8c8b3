import { messageOf } from "../../errors.ts";
import { goQuote } from "../../go-text.ts";
import { CommandError } from "../command-error.ts";
import { showProgress } from "../terminal/progress-line.ts";
import { acceptTokens } from "./accept-tokens.ts";
import { loginError, onOneLine, throwIfOver } from "./failed-call.ts";
import { checkHttpsUrl } from "./https-url.ts";
import type { LoginCall } from "./login-call.ts";
import { clientErrorText, configure, openidClient } from "./openid-client.ts";
import type { Provider } from "./provider.ts";
import type { ReceivedSession } from "./redeem-authorization.ts";
import type { TokenAnswer } from "./token-endpoint.ts";
import { callTokenEndpoint, TokenRefused } from "./token-endpoint.ts";

/** Seconds between two polls where the issuer does not say, and what `slow_down` adds (RFC 8628 sections 3.2, 3.5). */
const INTERVAL = 5;
const DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code";

/** The device authorization grant (RFC 8628): for machines without a browser, the person logs in on another one. */
export async function loginWithDeviceCode(call: LoginCall, provider: Provider): Promise<ReceivedSession> {
  const { context, options } = call;
  if (provider.deviceAuthorizationEndpoint === undefined) {
    throw loginError(
      `a login by device code was asked for, but OIDC issuer ${goQuote(provider.issuer)} does not offer it: ` +
        "its discovery document has no device_authorization_endpoint",
    );
  }
  checkHttpsUrl("discovered device authorization URL from issuer", provider.deviceAuthorizationEndpoint);
  const calls = configure(call, provider);
  const started = await openidClient
    .initiateDeviceAuthorization(calls.configuration, { scope: options.scopes.toSorted().join(" ") })
    .catch((error: unknown) => {
      throwIfOver(call.signal);
      throw loginError(`could not start a login by device code: ${clientErrorText(error, calls)}`, error);
    });

  const complete = started.verification_uri_complete;
  context.stderr.write(
    `Log in with a browser on any machine by visiting this link:\n\n    ${onOneLine(started.verification_uri)}\n\n` +
      `and entering this code:\n\n    ${onOneLine(started.user_code)}\n\n` +
      (complete === undefined ? "" : `or, with the code in it:\n\n    ${onOneLine(complete)}\n\n`),
  );
  const progress = showProgress(
    { output: context.stderr, clock: context.clock },
    "Waiting for the login in the browser…",
  );
  let answer: TokenAnswer;
  try {
    answer = await poll(call, provider, {
      deviceCode: started.device_code,
      interval: started.interval ?? INTERVAL,
      expiry: context.clock.now() + started.expires_in * 1000,
    });
  } finally {
    progress.stop();
  }
  // No nonce: there was no authorization request that could have carried one.
  return { tokens: await acceptTokens(call, provider, answer, {}), clockOffset: answer.clockOffset };
}

async function poll(
  call: LoginCall,
  provider: Provider,
  device: { readonly deviceCode: string; readonly interval: number; readonly expiry: number },
): Promise<TokenAnswer> {
  const { clock } = call.context;
  let { interval } = device;
  for (;;) {
    await clock.sleep(interval * 1000, call.signal);
    throwIfOver(call.signal);
    if (clock.now() >= device.expiry) {
      throw loginError("the device code has expired: nobody logged in with it in time; start again");
    }
    try {
      return await callTokenEndpoint(call, provider, {
        client_id: call.options.clientId,
        device_code: device.deviceCode,
        grant_type: DEVICE_GRANT,
      });
    } catch (error) {
      interval += slowerBy(error, call.signal);
    }
  }
}

/** Seconds to wait longer before the next poll; throws when there is nothing to wait for. */
function slowerBy(error: unknown, signal: AbortSignal): number {
  throwIfOver(signal);
  if (!(error instanceof TokenRefused)) {
    // An outage of the network is no answer (RFC 8628 section 3.5).
    if (error instanceof CommandError && error.code === "cli.oidc.unreachable") {
      return INTERVAL;
    }
    throw loginError(`the login by device code failed: ${messageOf(error)}`, error);
  }
  switch (error.error) {
    case "authorization_pending":
      return 0;
    case "slow_down":
      return INTERVAL;
    case "access_denied":
      throw loginError(`the login by device code was refused: ${error.message}`, error);
    case "expired_token":
      throw loginError("the device code has expired: nobody logged in with it in time; start again", error);
    default:
      throw loginError(`the login by device code failed: ${error.message}`, error);
  }
}
