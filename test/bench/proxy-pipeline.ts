import { openSync, writeSync } from "node:fs";
import { systemClock } from "../../src/clock.ts";
import { createAuthenticatorCache } from "../../src/concierge/authenticators/authenticator-cache.ts";
import { createProxyPipeline } from "../../src/concierge/impersonator/pipeline.ts";
import type { ProxyPipeline } from "../../src/concierge/impersonator/proxied-request.ts";
import { createSubjectAccessReviewAuthorizer } from "../../src/concierge/request/subject-access-review.ts";
import { createConciergeState } from "../../src/concierge/state/state.ts";
import { createAuditLog } from "../../src/telemetry/audit-log.ts";
import { createJsonLines } from "../../src/telemetry/json-lines.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { createMetrics } from "../../src/telemetry/metrics.ts";

/** All steps with their caches, audit lines and metrics, as in a cluster; only the API server's reviews come from memory. */
export function benchPipeline(clientCaPem: string, proxyToken: string): ProxyPipeline {
  const clock = systemClock;
  const state = createConciergeState({ authenticators: createAuthenticatorCache() });
  state.clientCaPem.set(clientCaPem);
  state.denyList.set({ entries: [], problems: [] });
  state.proxyToken.set({ token: proxyToken, expiresAt: clock.now() + 3_600_000 });
  const nowhere = openSync("/dev/null", "w");
  const lines = createJsonLines({ clock, destination: { write: (text) => void writeSync(nowhere, text) } });
  const metrics = createMetrics({ clock, version: { version: "0.0.0", gitCommit: "bench" } });
  return createProxyPipeline({
    state,
    clock,
    log: silentLogger,
    audit: createAuditLog({ lines, logUsernamesAndGroups: true }),
    auditRequests: true,
    metrics,
    authorizer: createSubjectAccessReviewAuthorizer({
      client: { review: async (_resource, review) => ({ ...review, status: { allowed: true } }) },
      clock,
      metrics,
    }),
    anonymousAllowed: () => true,
  });
}
