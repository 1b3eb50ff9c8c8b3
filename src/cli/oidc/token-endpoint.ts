import { messageOf } from "../../errors.ts";
import { loginError, onOneLine, withAuditId, throwIfOver } from "./failed-call.ts";
import type { LoginCall } from "./login-call.ts";
import type { Provider } from "./provider.ts";
import { parseObject, text } from "./provider.ts";
import { CommandError } from "../command-error.ts";

/** A successful answer of a token endpoint (RFC 6749 section 5.1). */
export interface TokenAnswer {
  readonly accessToken: string;
  readonly tokenType: string | undefined;
  /** Milliseconds since the epoch by the local clock; undefined: the issuer did not say. */
  readonly accessTokenExpiry: number | undefined;
  readonly refreshToken: string | undefined;
  readonly idToken: string | undefined;
  /** Milliseconds by which the issuer's clock was ahead. */
  readonly clockOffset: number | undefined;
}

/** An answer that is an error, with its code where it gave one (RFC 6749 section 5.2). */
export class TokenRefused extends CommandError {
  readonly error: string | undefined;

  constructor(message: string, error: string | undefined) {
    super("cli.oidc.token-refused", message);
    this.name = "TokenRefused";
    this.error = error;
  }
}

type TokenCall = Pick<LoginCall, "context" | "http" | "signal"> & {
  readonly options: { readonly clientId: string };
};

/** Redeems an authorization code with its PKCE verifier (RFC 6749 section 4.1.3, RFC 7636 section 4.5). */
export async function redeemCode(
  call: TokenCall,
  provider: Pick<Provider, "tokenEndpoint">,
  request: { readonly code: string; readonly codeVerifier: string; readonly redirectUri: string },
): Promise<TokenAnswer> {
  return await callAsPublicClient(call, provider, {
    code: request.code,
    code_verifier: request.codeVerifier,
    grant_type: "authorization_code",
    redirect_uri: request.redirectUri,
  });
}

/** The refresh grant (RFC 6749 section 6). */
export async function refreshTokens(
  call: TokenCall,
  provider: Pick<Provider, "tokenEndpoint">,
  refreshToken: string,
): Promise<TokenAnswer> {
  return await callAsPublicClient(call, provider, {
    grant_type: "refresh_token",
    refresh_token: refreshToken,
  });
}

/** First as HTTP Basic with an empty secret, then, on any failure, with the client ID in the form (contract cli.md 4.7). */
async function callAsPublicClient(
  call: TokenCall,
  provider: Pick<Provider, "tokenEndpoint">,
  form: Readonly<Record<string, string>>,
): Promise<TokenAnswer> {
  const { clientId } = call.options;
  try {
    const user = new URLSearchParams({ "": clientId }).toString().slice(1);
    return await callTokenEndpoint(call, provider, form, {
      authorization: `Basic ${Buffer.from(`${user}:`).toString("base64")}`,
    });
  } catch {
    throwIfOver(call.signal);
    return await callTokenEndpoint(call, provider, { client_id: clientId, ...form });
  }
}

/** One POST to the token endpoint. Neither the form nor a body that is not an OAuth error ever gets into an error: both hold secrets. */
export async function callTokenEndpoint(
  call: TokenCall,
  provider: Pick<Provider, "tokenEndpoint">,
  form: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<TokenAnswer> {
  const answer = await call.http
    .request({
      method: "POST",
      url: provider.tokenEndpoint,
      headers: {
        accept: "application/json",
        "content-type": "application/x-www-form-urlencoded",
        ...headers,
      },
      body: new URLSearchParams(form).toString(),
      signal: call.signal,
    })
    .catch((error: unknown) => {
      throwIfOver(call.signal);
      throw new CommandError(
        "cli.oidc.unreachable",
        `could not reach the token endpoint: ${messageOf(error)}`,
        error,
      );
    });
  const body = parseObject(answer.body) ?? {};
  if (answer.status !== 200) {
    const error = text(body["error"]);
    const description = text(body["error_description"]);
    const details = [error, description]
      .filter((part) => part !== undefined)
      .map((part) => `: ${onOneLine(part)}`)
      .join("");
    throw new TokenRefused(
      withAuditId(`the token endpoint answered ${answer.statusLine}${details}`, answer.auditId),
      error,
    );
  }
  const accessToken = text(body["access_token"]);
  if (accessToken === undefined) {
    throw loginError(withAuditId("the token endpoint's answer holds no access token", answer.auditId));
  }
  const lifetime = Number(body["expires_in"] ?? 0);
  return {
    accessToken,
    tokenType: text(body["token_type"]),
    accessTokenExpiry: lifetime > 0 ? call.context.clock.now() + lifetime * 1000 : undefined,
    refreshToken: text(body["refresh_token"]),
    idToken: text(body["id_token"]),
    clockOffset: answer.clockOffset,
  };
}
