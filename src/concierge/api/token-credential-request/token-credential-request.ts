import type { Clock } from "../../../clock.ts";
import { replaceApiGroupSuffix } from "../../../kube/api-group-suffix.ts";
import { API_VERSION } from "../../../resources/kind.ts";
import { tokenCredentialRequestKind } from "../../../resources/token-credential-request.ts";
import type { TokenCredentialRequest } from "../../../resources/token-credential-request.ts";
import type { ClientCertificateCredential } from "../../credentials/signer.ts";
import type { Collection } from "../collections.ts";
import { requestedAuthenticator } from "./authenticator-reference.ts";
import { rfc3339 } from "./exchange.ts";
import type { Exchange } from "./exchange.ts";
import { validateTokenCredentialRequest } from "./validate-token-credential-request.ts";

export interface TokenCredentialRequestOptions {
  readonly apiGroupSuffix: string;
  readonly exchange: Exchange;
  readonly clock: Clock;
}

/** `tokencredentialrequests` (contract 2). */
export function createTokenCredentialRequestCollection(options: TokenCredentialRequestOptions): Collection {
  const { apiGroupSuffix, exchange, clock } = options;
  const group = replaceApiGroupSuffix(tokenCredentialRequestKind.resource.group, apiGroupSuffix);
  return {
    kind: tokenCredentialRequestKind,
    group,
    create: async ({ object, name, dryRun, context, signal }) => {
      const { spec } = object as Partial<TokenCredentialRequest>;
      const token = spec?.token ?? "";
      const namespace = context.attributes.kind === "resource" ? context.attributes.namespace : "";
      validateTokenCredentialRequest({ token, name, dryRun, namespace });
      const credential = await exchange({
        token,
        authenticator: requestedAuthenticator(spec?.authenticator, apiGroupSuffix, clock.now()),
        auditID: context.auditID,
        source: context.source,
        signal,
      });
      return answer(group, credential);
    },
  };
}

/** A new object in Go's key order; nothing of the request is echoed (contract 2.1). */
function answer(group: string, credential: ClientCertificateCredential | undefined): object {
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
              expirationTimestamp: rfc3339(credential.notAfter),
              clientCertificateData: credential.clientCertificateData,
              clientKeyData: credential.clientKeyData,
            },
          },
  };
}
