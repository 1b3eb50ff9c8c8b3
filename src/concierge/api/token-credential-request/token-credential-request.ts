import type { Clock } from "../../../clock.ts";
import { replaceApiGroupSuffix } from "../../../kube/api-group-suffix.ts";
import { API_VERSION } from "../../../resources/kind.ts";
import { tokenCredentialRequestKind } from "../../../resources/token-credential-request.ts";
import type { TokenCredentialRequest } from "../../../resources/token-credential-request.ts";
import type { CredentialIssuing, IssuedCredential } from "../../credentials/issue-credential.ts";
import { headerValues } from "../../request/raw-headers.ts";
import { StatusError } from "../../request/status.ts";
import type { Collection } from "../collections.ts";
import { requestedAuthenticator } from "./authenticator-reference.ts";
import type { Exchange, ExchangeCounting } from "./exchange.ts";
import { rfc3339 } from "./exchange-audit.ts";
import { validateExtensions, validateTokenCredentialRequest } from "./validate-token-credential-request.ts";

export interface TokenCredentialRequestOptions {
  readonly apiGroupSuffix: string;
  readonly exchange: Exchange;
  readonly credentials: Pick<CredentialIssuing, "formFor">;
  readonly clock: Clock;
  readonly metrics: Pick<ExchangeCounting, "exchangeFinished" | "exchangePhase" | "stopwatch">;
}

/** Set by the impersonation proxy, which drops what its client sent. It selects the form of the answer, never the identity (S9). */
const THROUGH_PROXY_HEADER = "x-lanyard-through-proxy";

/** `tokencredentialrequests` (contract 2). */
export function createTokenCredentialRequestCollection(options: TokenCredentialRequestOptions): Collection {
  const { apiGroupSuffix, exchange, credentials, clock, metrics } = options;
  const group = replaceApiGroupSuffix(tokenCredentialRequestKind.resource.group, apiGroupSuffix);
  return {
    kind: tokenCredentialRequestKind,
    group,
    create: async ({ object, name, dryRun, rawHeaders, context, signal }) => {
      const startedAt = metrics.stopwatch();
      const { spec } = object as Partial<TokenCredentialRequest>;
      const token = spec?.token ?? "";
      const namespace = context.attributes.kind === "resource" ? context.attributes.namespace : "";
      const form = credentials.formFor(cameThroughProxy(rawHeaders));
      const extensions = whenInvalid(
        () => {
          validateTokenCredentialRequest({ token, name, dryRun, namespace });
          return validateExtensions(name, {
            expirationSeconds: spec?.expirationSeconds,
            // There is no key in a token: whoever gets one is not told what is wrong with theirs (S9).
            certificateSigningRequest: form === "BearerToken" ? undefined : spec?.certificateSigningRequest,
          });
        },
        () => metrics.exchangeFinished(undefined, "request", (metrics.stopwatch() - startedAt) / 1000),
      );
      const authenticator = requestedAuthenticator(spec?.authenticator, apiGroupSuffix, clock.now());
      metrics.exchangePhase("validate", metrics.stopwatch() - startedAt);
      const credential = await exchange({
        ...extensions,
        token,
        form,
        name,
        authenticator,
        auditID: context.auditID,
        source: context.source,
        signal,
      });
      return answer(group, credential);
    },
  };
}

function whenInvalid<T>(validate: () => T, tell: () => void): T {
  try {
    return validate();
  } catch (error) {
    if (error instanceof StatusError) {
      tell();
    }
    throw error;
  }
}

function cameThroughProxy(rawHeaders: readonly string[]): boolean {
  const values = headerValues(rawHeaders, THROUGH_PROXY_HEADER);
  return values.length === 1 && values[0] === "true";
}

/** A new object in Go's key order; nothing of the request is echoed (contract 2.1). */
function answer(group: string, credential: IssuedCredential | undefined): object {
  return {
    kind: tokenCredentialRequestKind.resource.kind,
    apiVersion: `${group}/${API_VERSION}`,
    metadata: { creationTimestamp: null },
    spec: { authenticator: { apiGroup: null, kind: "", name: "" } },
    status:
      credential === undefined
        ? { message: "authentication failed" }
        : {
            credential: {
              expirationTimestamp: rfc3339(credential.expirationTimestamp),
              ...credential.value,
            },
          },
  };
}
