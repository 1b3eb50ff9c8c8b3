import type { ResourceStore } from "../kube/resource-store.ts";
import { credentialIssuers } from "../resources/credential-issuer.ts";
import { jwtAuthenticators } from "../resources/jwt-authenticator.ts";
import { webhookAuthenticators } from "../resources/webhook-authenticator.ts";
import type { ObservedState } from "../telemetry/observed-state.ts";

/** What the statuses of our own objects say, for whoever scrapes: read from caches, without a call. */
export function observedStatuses(options: {
  readonly store: Pick<ResourceStore, "view">;
  readonly credentialIssuerName: string;
}): Required<Pick<ObservedState, "strategies" | "authenticators">> {
  const issuers = options.store.view(credentialIssuers);
  const authenticators = [
    options.store.view(jwtAuthenticators),
    options.store.view(webhookAuthenticators),
  ] as const;
  return {
    strategies: () => issuers.get({ name: options.credentialIssuerName })?.status?.strategies ?? [],
    authenticators: () =>
      authenticators.flatMap((view, index) =>
        view.list().map(({ metadata, status }) => ({
          kind: index === 0 ? "JWTAuthenticator" : "WebhookAuthenticator",
          name: metadata.name,
          ready: status?.phase === "Ready",
        })),
      ),
  };
}
