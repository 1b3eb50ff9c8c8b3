import { messageOf } from "../../errors.ts";
import type { CommandContext } from "../context.ts";
import type { HttpClient, HttpClientOptions } from "../http/http-client.ts";
import { checkHttpsUrl } from "./https-url.ts";
import { ISSUER_CALL_TIMEOUT } from "./login-call.ts";
import { clientErrorText, configure, openidClient } from "./openid-client.ts";
import { discoverProvider } from "./provider.ts";
import type { SessionKey, SessionTokens } from "./session.ts";

/** What became of one token of a session; `reason` is one line without secrets. */
export interface TokenRevocation {
  readonly token: "refresh" | "access";
  readonly outcome: "revoked" | "not-offered" | "failed";
  readonly reason?: string;
}

export interface RevokeSessionOptions {
  readonly key: Pick<SessionKey, "issuer" | "clientID">;
  readonly tokens: SessionTokens;
  /** PEM; absent: the system's roots. */
  readonly caBundlePem?: string | undefined;
  /** Default: the context's. */
  readonly signal?: AbortSignal;
}

/**
 * Revokes a session's tokens at the issuer where it offers that (RFC 7009), the refresh token first because it is what lives on; a
 * Supervisor does not offer it. Never throws: a logout forgets the session in any case.
 */
export async function revokeSession(
  context: CommandContext,
  options: RevokeSessionOptions,
  createClient: (
    context: CommandContext,
    options: HttpClientOptions,
  ) => HttpClient | Promise<HttpClient> = createDefaultClient,
): Promise<readonly TokenRevocation[]> {
  const tokens = [
    { token: "refresh" as const, value: options.tokens.refresh?.token },
    { token: "access" as const, value: options.tokens.access?.token },
  ].filter((entry): entry is { token: "refresh" | "access"; value: string } => Boolean(entry.value));
  if (tokens.length === 0) {
    return [];
  }
  const everyToken = (outcome: TokenRevocation["outcome"], reason: string): readonly TokenRevocation[] =>
    tokens.map(({ token }) => ({ token, outcome, reason }));

  const http = await createClient(context, {
    profile: "default",
    timeout: ISSUER_CALL_TIMEOUT,
    logAuditIds: "failures",
    ...(options.caBundlePem === undefined ? {} : { caPem: options.caBundlePem }),
  });
  try {
    const { issuer, clientID: clientId } = options.key;
    const signal = options.signal ?? context.signal;
    const call = { context, http, signal, options: { issuer, clientId } };
    const provider = await discoverProvider(call);
    if (provider.revocationEndpoint === undefined) {
      return everyToken("not-offered", "the issuer's discovery document has no revocation_endpoint");
    }
    checkHttpsUrl("discovered revocation URL from issuer", provider.revocationEndpoint);
    const calls = configure(call, provider);
    const results: TokenRevocation[] = [];
    for (const { token, value } of tokens) {
      try {
        await openidClient.tokenRevocation(calls.configuration, value, { token_type_hint: `${token}_token` });
        results.push({ token, outcome: "revoked" });
      } catch (error) {
        results.push({ token, outcome: "failed", reason: clientErrorText(error, calls) });
      }
    }
    return results;
  } catch (error) {
    return everyToken("failed", messageOf(error));
  } finally {
    await http.close();
  }
}

async function createDefaultClient(context: CommandContext, options: HttpClientOptions): Promise<HttpClient> {
  const { createHttpClient } = await import("../http/create-http-client.ts");
  return createHttpClient(context, options);
}
