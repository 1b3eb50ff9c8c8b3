import type { Controller } from "../kube/controller.ts";
import { createProxyForUrl } from "./authenticators/outbound-proxy.ts";
import type { Environment } from "./config/environment.ts";
import { createAuthenticatorCacheCleaner } from "./controllers/authenticator-cache-cleaner.ts";
import type { AuthenticatorControllerOptions } from "./controllers/authenticator-reconcile.ts";
import { createJwtAuthenticatorController } from "./controllers/jwt-authenticator-controller.ts";
import type { JwtAuthenticatorControllerOptions } from "./controllers/jwt-authenticator-controller.ts";
import { createWebhookAuthenticatorController } from "./controllers/webhook-authenticator-controller.ts";

/** All that keeps the set of authenticators in step with their objects (contract 4.7); the same in a cluster and in a folder. */
export function createAuthenticatorControllers(
  options: AuthenticatorControllerOptions &
    Pick<JwtAuthenticatorControllerOptions, "apiGroupSuffix" | "metrics"> & {
      readonly environment: Environment;
    },
): readonly Controller[] {
  const proxyForUrl = createProxyForUrl(options.environment);
  return [
    createWebhookAuthenticatorController({ ...options, proxyForUrl }),
    createJwtAuthenticatorController({ ...options, proxyForUrl }),
    createAuthenticatorCacheCleaner(options),
  ];
}
