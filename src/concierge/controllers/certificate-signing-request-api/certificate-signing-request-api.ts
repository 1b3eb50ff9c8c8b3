import type { Clock } from "../../../clock.ts";
import type { Controller } from "../../../kube/controller.ts";
import type { KubernetesClient } from "../../../kube/kubernetes-client.ts";
import type { ResourceStore } from "../../../kube/resource-store.ts";
import type { Logger } from "../../../telemetry/log.ts";
import { createCertificateSigningRequestSigner } from "../../credentials/certificate-signing-request-api.ts";
import { createClusterSigning } from "../../credentials/cluster-signing.ts";
import type { Signer } from "../../credentials/signer.ts";
import type { ConciergeState } from "../../state/concierge-state.ts";
import { createCertificateSigningRequestCleanUpController } from "./clean-up.ts";
import { createCertificateSigningRequestStrategyController } from "./strategy.ts";

export interface CertificateSigningRequestApiOptions {
  readonly client: KubernetesClient;
  readonly store: Pick<ResourceStore, "view" | "updateStatus">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly state: Pick<ConciergeState, "credentialSettings" | "sharedAuthorityFault">;
  readonly mayWrite: () => boolean;
  readonly namespace: string;
  /** Of our own Pods. */
  readonly serviceAccountName: string;
  /** `names.credentialIssuer`. */
  readonly credentialIssuerName: string;
  /** `discovery.url`. */
  readonly discoveryUrl: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

/** The strategy `CertificateSigningRequestAPI` as a whole (S6): what signs, what reports, what cleans up. */
export function createCertificateSigningRequestApi(options: CertificateSigningRequestApiOptions): {
  readonly signer: Signer;
  readonly controllers: readonly Controller[];
} {
  const { state, namespace, serviceAccountName } = options;
  const username = `system:serviceaccount:${namespace}:${serviceAccountName}`;
  const signing = createClusterSigning({ ...options, username });
  const settings = state.credentialSettings;
  const fault = state.sharedAuthorityFault;
  return {
    signer: createCertificateSigningRequestSigner({ ...options, signing, settings, fault }),
    controllers: [
      createCertificateSigningRequestStrategyController({ ...options, signing, fault }),
      createCertificateSigningRequestCleanUpController({ ...options, username, settings }),
    ],
  };
}
