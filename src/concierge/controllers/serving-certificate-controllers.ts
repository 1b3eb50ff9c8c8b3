import type { Clock } from "../../clock.ts";
import type { Controller } from "../../kube/controller.ts";
import type { ResourceStore } from "../../kube/resource-store.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { KeyPair } from "../state/concierge-state.ts";
import type { Holder } from "../state/holder.ts";
import type { ReadinessCheck } from "../state/readiness.ts";
import { createApiServiceUpdater } from "./api-service-updater.ts";
import { createCaPublication } from "./api-service-ca-publication.ts";
import { createCertificateExpirer } from "./certificate-expirer.ts";
import { createCertificateManager } from "./certificate-manager.ts";
import { createServingCertificateObserver } from "./serving-certificate-observer.ts";
import { createServingCertificate } from "./serving-certificate-secret.ts";

export interface ServingCertificateControllersOptions {
  readonly store: ResourceStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly holder: Holder<KeyPair | undefined>;
  readonly namespace: string;
  /** `names.servingCertificateSecret`. */
  readonly secretName: string;
  /** `names.apiService`: the Service in front of the aggregated API. */
  readonly serviceName: string;
  /** The login and the identity APIService, as the cluster knows them. */
  readonly apiServiceNames: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly durationSeconds: number;
  readonly renewBeforeSeconds: number;
  readonly metrics?: Pick<Metrics, "certificateLoaded">;
}

/** All that keeps the aggregated API's serving certificate alive (contract 6.3, clarification 14). */
export function createServingCertificateControllers(options: ServingCertificateControllersOptions): {
  readonly controllers: readonly Controller[];
  readonly readiness: readonly ReadinessCheck[];
} {
  const { store, clock, namespace, secretName, serviceName } = options;
  const publication = createCaPublication({
    store,
    clock,
    namespace,
    apiServiceNames: options.apiServiceNames,
  });
  const named = (name: string): { readonly log: Logger } => ({ log: options.log.named(name) });
  const observer = createServingCertificateObserver({
    ...options,
    publication,
    ...named("certs-observer-controller"),
  });
  return {
    controllers: [
      observer.controller,
      createCertificateManager({
        ...options,
        ...named("certs-manager-controller"),
        generate: () =>
          createServingCertificate({
            dnsNames: [`${serviceName}.${namespace}.svc`, `${serviceName}.${namespace}.svc.cluster.local`],
            durationSeconds: options.durationSeconds,
            now: clock.now(),
          }),
      }),
      ...options.apiServiceNames.map((apiServiceName) =>
        createApiServiceUpdater({
          store,
          clock,
          publication,
          namespace,
          secretName,
          apiServiceName,
          ...named("api-service-updater-controller"),
        }),
      ),
      createCertificateExpirer({ ...options, ...named("certs-expirer-controller") }),
    ],
    readiness: observer.readiness,
  };
}
