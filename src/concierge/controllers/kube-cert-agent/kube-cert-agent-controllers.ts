import type { Controller } from "../../../kube/controller.ts";
import { createDisabledKubeCertAgentController } from "./disabled-kube-cert-agent-controller.ts";
import { createKubeCertAgentController } from "./kube-cert-agent-controller.ts";
import type { KubeCertAgentControllerOptions } from "./kube-cert-agent-controller.ts";
import { createLegacyPodCleaner } from "./legacy-pod-cleaner.ts";

/**
 * All controllers of the cluster signing key strategy. Disabled, they watch nothing that would need the rights which the
 * chart then leaves out (S19, clarification 10).
 */
export function createKubeCertAgentControllers(
  options: KubeCertAgentControllerOptions & {
    /** `kubeCertAgent.enabled`. */
    readonly enabled: boolean;
  },
): readonly Controller[] {
  const { store, log, agent } = options;
  return options.enabled
    ? [
        createKubeCertAgentController(options),
        createLegacyPodCleaner({ store, log, namespace: agent.namespace, labels: agent.labels }),
      ]
    : [createDisabledKubeCertAgentController(options)];
}
