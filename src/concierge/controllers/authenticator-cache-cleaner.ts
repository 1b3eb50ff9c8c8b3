import type { Controller } from "../../kube/controller.ts";
import type { ResourceStore } from "../../kube/resource-store.ts";
import { jwtAuthenticators } from "../../resources/jwt-authenticator.ts";
import { webhookAuthenticators } from "../../resources/webhook-authenticator.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { AuthenticatorCache } from "../authenticators/authenticator-cache.ts";

export interface AuthenticatorCacheCleanerOptions {
  readonly store: ResourceStore;
  readonly cache: AuthenticatorCache;
  readonly log: Logger;
}

/** Drops authenticators whose object is gone (contract 4.7), on any event of either kind. */
export function createAuthenticatorCacheCleaner(options: AuthenticatorCacheCleanerOptions): Controller {
  const { store, cache, log } = options;
  const views = {
    JWTAuthenticator: store.view(jwtAuthenticators),
    WebhookAuthenticator: store.view(webhookAuthenticators),
  };
  return {
    name: "cachecleaner-controller",
    reconcile: () => {
      for (const reference of cache.references()) {
        const view = views[reference.kind];
        // A list that is not in yet says nothing about what exists.
        if (view.hasSynced() && view.get({ name: reference.name }) === undefined) {
          cache.delete(reference);
          log.info("authenticator was deleted", { kind: reference.kind, name: reference.name });
        }
      }
      return Promise.resolve();
    },
    watch: (enqueue) => {
      const stops = Object.values(views).map((view) => view.subscribe(enqueue));
      return () => {
        for (const stop of stops) {
          stop();
        }
      };
    },
  };
}
