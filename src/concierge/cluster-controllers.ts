import type { Controller } from "../kube/controller.ts";
import { createPodExec } from "../kube/exec.ts";
import type { KubernetesEndpoint } from "../kube/configuration.ts";
import type { KubernetesClient } from "../kube/kubernetes-client.ts";
import type { ResourceStore } from "../kube/resource-store.ts";
import { createAuthenticatorControllers } from "./authenticator-controllers.ts";
import type { AuthenticatorCache } from "./authenticators/authenticator-cache.ts";
import { createBearerAudienceController } from "./controllers/bearer-audience.ts";
import { createCertificateSigningRequestApi } from "./controllers/certificate-signing-request-api/certificate-signing-request-api.ts";
import { createCredentialSettingsController } from "./controllers/credential-settings.ts";
import { createDenyListController } from "./controllers/deny-list-controller.ts";
import { createImpersonatorConfigController } from "./controllers/impersonation-proxy/impersonator-config-controller.ts";
import { createKubeCertAgentControllers } from "./controllers/kube-cert-agent/kube-cert-agent-controllers.ts";
import { createLegacyServiceAccountTokenCleanup } from "./controllers/legacy-service-account-token-cleanup.ts";
import { createProxySignerCaControllers } from "./controllers/proxy-signer-ca.ts";
import { createProxyTokenKeyControllers, proxyTokenKeySecretName } from "./controllers/proxy-token-key.ts";
import { createRequestHeaderConfigurationController } from "./controllers/request-header-configuration.ts";
import { createServingCertificateControllers } from "./controllers/serving-certificate-controllers.ts";
import { createSharedAuthorityController } from "./controllers/shared-authority.ts";
import type { Signer } from "./credentials/signer.ts";
import type { ServerContext } from "./server-context.ts";
import type { ReadinessCheck } from "./state/readiness.ts";
import type { WritableConciergeState } from "./state/state.ts";

export interface ClusterControllersOptions {
  readonly context: ServerContext;
  readonly state: WritableConciergeState<AuthenticatorCache>;
  readonly store: ResourceStore;
  readonly client: KubernetesClient;
  readonly endpoint: KubernetesEndpoint;
  readonly namespace: string;
  /** Name of our Deployment: what is ours alone is named after it. */
  readonly app: string;
  /** Of our own Pods. */
  readonly serviceAccountName: string;
  /** The two APIServices that lead here. */
  readonly apiServiceNames: readonly string[];
  readonly mayWrite: () => boolean;
}

/** Every controller of a replica in a cluster (contract 6.1), what they wait for before it is ready, and the signer that one of them keeps. */
export function createClusterControllers(options: ClusterControllersOptions): {
  readonly controllers: readonly Controller[];
  readonly readiness: readonly ReadinessCheck[];
  readonly certificateSigningRequestSigner: Signer;
} {
  const { context, state, store, client, namespace, app } = options;
  const { config, clock, log, metrics, audit, environment, version } = context;
  const { names, discoveryUrl, labels } = config;
  const common = { store, clock, log, namespace, labels, metrics };
  const { credentialIssuer: credentialIssuerName } = names;

  const serving = createServingCertificateControllers({
    ...common,
    holder: state.servingCertificate,
    secretName: names.servingCertificateSecret,
    serviceName: names.apiService,
    apiServiceNames: options.apiServiceNames,
    ...config.api.servingCertificate,
  });
  const proxySigner = createProxySignerCaControllers({
    ...common,
    ...state,
    secretName: names.impersonationSignerSecret,
  });
  const proxyTokenKey = createProxyTokenKeyControllers({
    ...common,
    ...state,
    secretName: proxyTokenKeySecretName(names.impersonationSignerSecret),
  });
  const denyList = createDenyListController({
    ...common,
    audit,
    holder: state.denyList,
    configMapName: `${app}-deny-list`,
  });
  const requests = createCertificateSigningRequestApi({
    ...common,
    client,
    state,
    mayWrite: options.mayWrite,
    serviceAccountName: options.serviceAccountName,
    credentialIssuerName,
    discoveryUrl,
  });
  const authenticators = createAuthenticatorControllers({
    ...common,
    cache: state.authenticators,
    apiGroupSuffix: config.apiGroupSuffix,
    environment,
  });

  return {
    controllers: [
      createCredentialSettingsController({ store, credentialIssuerName, holder: state.credentialSettings }),
      createRequestHeaderConfigurationController({ ...common, ...state }),
      createSharedAuthorityController({ state, log }),
      denyList.controller,
      ...serving.controllers,
      ...proxySigner.controllers,
      ...proxyTokenKey.controllers,
      createBearerAudienceController({ store, bearerAudience: state.bearerAudience, credentialIssuerName }),
      ...createKubeCertAgentControllers({
        ...common,
        ...state,
        client,
        exec: createPodExec({
          endpoint: options.endpoint,
          clock,
          userAgent: `lanyard-concierge/${version.version}`,
        }),
        enabled: config.kubeCertAgent.enabled,
        agent: {
          ...config.kubeCertAgent,
          namespace,
          serviceAccountName: names.agentServiceAccount,
          labels,
        },
        credentialIssuerName,
        discoveryUrl,
      }),
      createLegacyServiceAccountTokenCleanup({
        store,
        log,
        namespace,
        secretName: names.impersonationProxyLegacySecret,
      }),
      ...requests.controllers,
      createImpersonatorConfigController({
        ...common,
        client,
        state,
        names,
        port: config.impersonationProxyServerPort,
      }),
      ...authenticators.controllers,
    ],
    readiness: [
      ...serving.readiness,
      ...proxySigner.readiness,
      ...proxyTokenKey.readiness,
      denyList.readiness,
      ...authenticators.readiness,
    ],
    certificateSigningRequestSigner: requests.signer,
  };
}
