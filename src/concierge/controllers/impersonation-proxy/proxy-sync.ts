import type { Secret } from "../../../kube/objects.ts";
import type { ResourceView } from "../../../kube/resource-store.ts";
import type { Service } from "../../../kube/resources.ts";
import type { CredentialIssuer } from "../../../resources/credential-issuer.ts";
import type { Logger } from "../../../telemetry/log.ts";
import type { StrategyReport } from "../credential-issuer-status.ts";
import type { ImpersonatorConfigOptions } from "./impersonator-config-controller.ts";
import { provideProxyCertificate, withdrawProxyCertificate } from "./proxy-certificate.ts";
import type { ProxyCertificateOptions, SyncMoment } from "./proxy-certificate.ts";
import { readProxyConfiguration } from "./proxy-configuration.ts";
import type { ProxyConfiguration } from "./proxy-configuration.ts";
import { findProxyEndpoint } from "./proxy-endpoint.ts";
import type { ProxyServerControl, ProxyServerFinding } from "./proxy-server.ts";
import { reconcileProxyServices } from "./proxy-services.ts";
import { requireProxySigner } from "./proxy-signer-check.ts";
import { automaticallyDisabled, endpointUnknown, explicitlyDisabled, listening } from "./proxy-strategy.ts";

export interface ProxySyncOptions extends Pick<
  ImpersonatorConfigOptions,
  "state" | "namespace" | "names" | "labels" | "port" | "metrics"
> {
  readonly log: Logger;
  readonly views: {
    readonly services: Pick<ResourceView<Service>, "get">;
    readonly secrets: Pick<ResourceView<Secret>, "get">;
  };
  readonly server: ProxyServerControl;
  readonly hasControlPlaneNodes: (signal: AbortSignal) => Promise<boolean>;
}

/** What one sync came to. */
export interface ProxySyncOutcome {
  /** How the server is doing; undefined: it is not supposed to run. */
  readonly finding: ProxyServerFinding | undefined;
  /** Undefined: nothing to say yet, what was said before stays. */
  readonly strategy: StrategyReport | undefined;
  /** What went wrong after the server was seen to. */
  readonly failure?: unknown;
}

type Running = Exclude<ProxyConfiguration, { readonly mode: "disabled" }>;

/** The steps of contract 6.6 but for the last, which is the status; what they throw is reported there. */
export function createProxySync(
  options: ProxySyncOptions,
): (issuer: CredentialIssuer, moment: SyncMoment, signal: AbortSignal) => Promise<ProxySyncOutcome> {
  const { state, namespace, names, labels, port, views, server } = options;
  const ownSecret = (name: string): ProxyCertificateOptions["servingSecret"] => ({
    view: views.secrets,
    namespace,
    name,
    labels,
  });
  const certificates: ProxyCertificateOptions = {
    holder: state.proxyServingCertificate,
    authoritySecret: ownSecret(names.impersonationCACertificateSecret),
    servingSecret: ownSecret(names.impersonationTLSCertificateSecret),
    metrics: options.metrics,
    log: options.log,
  };
  const proxyServices = {
    view: views.services,
    namespace,
    labels,
    loadBalancerName: names.impersonationLoadBalancerService,
    clusterIPName: names.impersonationClusterIPService,
    targetPort: port,
  };

  const stop = async (
    strategy: StrategyReport,
    moment: SyncMoment,
    signal: AbortSignal,
  ): Promise<ProxySyncOutcome> => {
    await server.stop(signal);
    await reconcileProxyServices(proxyServices, undefined, moment.writes);
    await withdrawProxyCertificate(certificates, moment);
    return { finding: undefined, strategy };
  };
  const setUp = async (
    configuration: Running,
    moment: SyncMoment,
  ): Promise<{ readonly strategy: StrategyReport | undefined }> => {
    const found = await reconcileProxyServices(proxyServices, configuration.service, moment.writes);
    const endpoint = findProxyEndpoint(configuration, found);
    const caPem = await provideProxyCertificate(
      certificates,
      { tls: configuration.tls, names: endpoint?.names },
      moment,
    );
    requireProxySigner(
      views.secrets,
      { namespace, name: names.impersonationSignerSecret },
      state.proxySigningKey,
    );
    if (endpoint === undefined) {
      return { strategy: endpointUnknown };
    }
    return { strategy: caPem === undefined ? undefined : listening(endpoint.clientEndpoint, caPem) };
  };
  const run = async (configuration: Running, moment: SyncMoment): Promise<ProxySyncOutcome> => {
    const finding = server.run(port);
    try {
      const { strategy } = await setUp(configuration, moment);
      // Nobody is told to come while nothing listens.
      const early = strategy?.status === "Success" && finding.phase !== "listening";
      return { finding, strategy: early ? undefined : strategy };
    } catch (failure) {
      // A server that failed is tried again in its time, whatever else is wrong.
      return { finding, strategy: undefined, failure };
    }
  };
  return async (issuer, moment, signal) => {
    const configuration = readProxyConfiguration(issuer);
    if (configuration.mode === "disabled") {
      return stop(explicitlyDisabled, moment, signal);
    }
    if (configuration.mode === "auto" && (await options.hasControlPlaneNodes(signal))) {
      return stop(automaticallyDisabled, moment, signal);
    }
    return run(configuration, moment);
  };
}
