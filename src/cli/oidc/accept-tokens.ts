import { formatSeconds } from "../../rfc3339.ts";
import { loginError, throwIfOver } from "./failed-call.ts";
import type { LoginCall } from "./login-call.ts";
import type { Provider } from "./provider.ts";
import type { SessionTokens } from "./session.ts";
import type { TokenAnswer } from "./token-endpoint.ts";
import { InvalidIdToken, verifyIdToken } from "./verify-token.ts";

type AcceptCall = Pick<LoginCall, "context" | "http" | "signal"> & {
  readonly options: { readonly clientId: string };
};

/** Checks what a token endpoint gave, asks for user info where the issuer has it, and makes a session of it (contract cli.md 4.7). */
export async function acceptTokens(
  call: AcceptCall,
  provider: Provider,
  answer: TokenAnswer,
  expected: { readonly nonce?: string; readonly previousRefreshToken?: string },
): Promise<SessionTokens> {
  if (answer.idToken === undefined) {
    throw new InvalidIdToken("received response missing ID token");
  }
  const claims = await verifyIdToken(call, provider, answer.idToken, {
    clientId: call.options.clientId,
    nonce: expected.nonce,
    accessToken: answer.accessToken,
    clockOffset: answer.clockOffset,
  });
  const info = await fetchUserInfo(call, provider, answer.accessToken, claims.sub ?? "");
  return {
    ...withoutIdToken(call, answer, expected.previousRefreshToken),
    id: {
      token: answer.idToken,
      expiryTimestamp: claims.exp === undefined ? null : formatSeconds(claims.exp * 1000),
      // The audience decides on the exchange, so it stays the token's, too.
      claims: { ...claims, ...info, iss: claims.iss, aud: claims.aud },
    },
  };
}

/** The session of an answer without its ID token; a refresh answer without a refresh token keeps the old one. */
export function withoutIdToken(
  call: Pick<LoginCall, "context">,
  answer: TokenAnswer,
  previousRefreshToken: string | undefined,
): SessionTokens {
  const refreshToken = answer.refreshToken ?? previousRefreshToken;
  return {
    access: {
      token: answer.accessToken,
      ...(answer.tokenType === undefined ? {} : { type: answer.tokenType }),
      expiryTimestamp:
        answer.accessTokenExpiry === undefined ? null : formatSeconds(answer.accessTokenExpiry),
    },
    refresh: refreshToken === undefined ? null : { token: refreshToken },
    id: null,
  };
}

async function fetchUserInfo(
  call: AcceptCall,
  provider: Provider,
  accessToken: string,
  subject: string,
): Promise<Readonly<Record<string, unknown>>> {
  if (provider.userinfoEndpoint === undefined) {
    return {};
  }
  const { configure, clientErrorText, openidClient } = await import("./openid-client.ts");
  const calls = configure(call, provider);
  try {
    return { ...(await openidClient.fetchUserInfo(calls.configuration, accessToken, subject)) };
  } catch (error) {
    throwIfOver(call.signal);
    throw loginError(`could not fetch user info claims: ${clientErrorText(error, calls)}`, error);
  }
}
