import * as openidClient from "openid-client";
import { messageOf } from "../../errors.ts";
import { onOneLine, withAuditId } from "./failed-call.ts";
import type { LoginCall } from "./login-call.ts";
import type { Provider } from "./provider.ts";

export { openidClient };

/** openid-client set up for a public client of one issuer, with our TLS, proxies and limits. */
export interface OpenidClientCalls {
  readonly configuration: openidClient.Configuration;
  /** The Audit-ID of the last answer. */
  auditId(): string | undefined;
}

export function configure(
  call: Pick<LoginCall, "http" | "signal"> & { readonly options: { readonly clientId: string } },
  provider: Provider,
): OpenidClientCalls {
  let auditId: string | undefined;
  const configuration = new openidClient.Configuration(
    { ...provider.metadata, issuer: provider.issuer },
    call.options.clientId,
    undefined,
    openidClient.None(),
  );
  // The limit of a call is the HTTP client's.
  configuration.timeout = 0;
  configuration[openidClient.customFetch] = async (url, options) => {
    const answer = await call.http.fetch(url, {
      ...options,
      body: options.body ?? null,
      signal: call.signal,
    });
    auditId = answer.headers.get("audit-id") ?? undefined;
    return answer;
  };
  return { configuration, auditId: () => auditId };
}

/** One line for an error of openid-client: what the answer said, or why there was none. */
export function clientErrorText(error: unknown, calls: OpenidClientCalls): string {
  const parts: string[] = [];
  for (let cause: unknown = error; cause !== undefined && parts.length < 4;) {
    if (cause instanceof Response) {
      parts.push(String(cause.status));
      break;
    }
    if (!(cause instanceof Error)) {
      break;
    }
    const message = cause instanceof openidClient.ResponseBodyError ? oauthText(cause) : messageOf(cause);
    if (message !== parts.at(-1)) {
      parts.push(onOneLine(message));
    }
    if (cause instanceof openidClient.ResponseBodyError) {
      break;
    }
    cause = cause.cause;
  }
  return withAuditId(parts.join(": "), calls.auditId());
}

function oauthText(error: openidClient.ResponseBodyError): string {
  return error.error_description === undefined ? error.error : `${error.error}: ${error.error_description}`;
}
