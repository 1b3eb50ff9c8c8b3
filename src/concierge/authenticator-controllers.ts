import type { Controller } from "../kube/controller.ts";
import { jwtAuthenticators } from "../resources/jwt-authenticator.ts";
import { webhookAuthenticators } from "../resources/webhook-authenticator.ts";
import { createProxyForUrl } from "./authenticators/outbound-proxy.ts";
import type { Environment } from "./config/environment.ts";
import { createAuthenticatorCacheCleaner } from "./controllers/authenticator-cache-cleaner.ts";
import type { AuthenticatorControllerOptions } from "./controllers/authenticator-reconcile.ts";
import { createJwtAuthenticatorController } from "./controllers/jwt-authenticator-controller.ts";
import type { JwtAuthenticatorControllerOptions } from "./controllers/jwt-authenticator-controller.ts";
import { withFirstPass } from "./controllers/first-pass.ts";
import { createWebhookAuthenticatorController } from "./controllers/webhook-authenticator-controller.ts";
import type { ReadinessCheck } from "./state/readiness.ts";

/** All that keeps the set of authenticators in step with their objects (contract 4.7); the same in a cluster and in a folder. */
export function createAuthenticatorControllers(
  options: AuthenticatorControllerOptions &
    Pick<JwtAuthenticatorControllerOptions, "apiGroupSuffix" | "metrics"> & {
      readonly environment: Environment;
    },
): { readonly controllers: readonly Controller[]; readonly readiness: readonly ReadinessCheck[] } {
  const { store, cache } = options;
  const proxyForUrl = createProxyForUrl(options.environment);
  const webhooks = withFirstPass(createWebhookAuthenticatorController({ ...options, proxyForUrl }), {
    kind: "WebhookAuthenticator",
    objects: store.view(webhookAuthenticators),
    cache,
  });
  const jwts = withFirstPass(createJwtAuthenticatorController({ ...options, proxyForUrl }), {
    kind: "JWTAuthenticator",
    objects: store.view(jwtAuthenticators),
    cache,
  });
  return {
    controllers: [webhooks.controller, jwts.controller, createAuthenticatorCacheCleaner(options)],
    readiness: [webhooks.readiness, jwts.readiness],
  };
}
