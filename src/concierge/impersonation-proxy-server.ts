import { createKubernetesClient } from "../kube/client.ts";
import type { KubernetesEndpoint } from "../kube/configuration.ts";
import { narrowCiphers } from "../tls/profiles.ts";
import { createBearerVerifier, isOwnBearer } from "./credentials/bearer-verification.ts";
import { probeAnonymousAuthentication, withoutCredentials } from "./impersonator/anonymous-probe.ts";
import { createImpersonationProxy } from "./impersonator/impersonation-proxy.ts";
import type { ImpersonationProxy } from "./impersonator/impersonation-proxy.ts";
import { createProxyPipeline } from "./impersonator/pipeline.ts";
import type { ProxyPipelineOptions } from "./impersonator/pipeline.ts";
import type { ServerContext } from "./server-context.ts";
import type { ConciergeState } from "./state/concierge-state.ts";

export interface ImpersonationProxyParts extends Pick<
  ProxyPipelineOptions,
  "authorizer" | "tokens" | "isOwnPod"
> {
  readonly state: ConciergeState;
  readonly endpoint: KubernetesEndpoint;
}

/** The impersonation proxy with the configuration's settings; it listens once its controller says so (contract 6.6). */
export function buildImpersonationProxy(
  context: ServerContext,
  parts: ImpersonationProxyParts,
): ImpersonationProxy {
  const { config, clock, log, audit, metrics, version } = context;
  const { state, endpoint } = parts;
  const verifier = createBearerVerifier({ ...state, clock });
  const anonymousClient = createKubernetesClient({
    endpoint: withoutCredentials(endpoint),
    apiGroupSuffix: config.apiGroupSuffix,
    clock,
    log,
    userAgent: `lanyard-concierge/${version.version}`,
  });
  let anonymousAllowed = false;
  const pipeline = createProxyPipeline({
    ...parts,
    clock,
    log,
    audit,
    metrics,
    auditRequests: config.audit.proxiedRequests,
    bearers: {
      isOurs: isOwnBearer,
      verify: (token) => verifier.verify(token),
    },
    anonymousAllowed: () => anonymousAllowed,
  });
  return createImpersonationProxy({
    state,
    endpoint,
    pipeline,
    clock,
    log,
    serverTlsProfile: narrowCiphers(config.tls.onedottwo.allowedCiphers).defaultServer,
    beforeListening: async () => {
      anonymousAllowed = await probeAnonymousAuthentication({ client: anonymousClient });
    },
  });
}
