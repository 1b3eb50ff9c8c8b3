import type { AuthorizationSecrets } from "./authorization-request.ts";
import { acceptTokens } from "./accept-tokens.ts";
import type { LoginCall } from "./login-call.ts";
import type { Provider } from "./provider.ts";
import type { SessionTokens } from "./session.ts";
import { redeemCode } from "./token-endpoint.ts";

/** Tokens that were just received, and the issuer's clock as that call showed it. */
export interface ReceivedSession {
  readonly tokens: SessionTokens;
  /** Milliseconds by which it was ahead. */
  readonly clockOffset: number | undefined;
}

/** Redeems each code once, however often it comes: a second try makes an issuer revoke what the first one gave (RFC 6749 section 4.1.2). */
export function createRedeemer(
  call: LoginCall,
  provider: Provider,
  secrets: AuthorizationSecrets,
): (code: string, redirectUri: string) => Promise<ReceivedSession> {
  const redeemed = new Map<string, Promise<ReceivedSession>>();
  const redeem = async (code: string, redirectUri: string): Promise<ReceivedSession> => {
    const { codeVerifier, nonce } = secrets;
    const answer = await redeemCode(call, provider, { code, codeVerifier, redirectUri });
    const tokens = await acceptTokens(call, provider, answer, { nonce });
    return { tokens, clockOffset: answer.clockOffset };
  };
  return (code, redirectUri) => {
    const running = redeemed.get(code) ?? redeem(code, redirectUri);
    redeemed.set(code, running);
    return running;
  };
}
