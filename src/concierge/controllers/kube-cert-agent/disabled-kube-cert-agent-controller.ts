import type { Controller } from "../../../kube/controller.ts";
import { credentialIssuers } from "../../../resources/credential-issuer.ts";
import { reportStrategy } from "../credential-issuer-status.ts";
import type { KubeCertAgentControllerOptions } from "./kube-cert-agent-controller.ts";
import { isNotLeader } from "../../../kube/not-leader.ts";
import { KUBE_CERT_AGENT_CONTROLLER as NAME, STRATEGY_TYPE as TYPE } from "./names.ts";

/** What the strategy says while `kubeCertAgent.enabled` is false (clarification 12): it needs no rights beyond the status. */
export function createDisabledKubeCertAgentController(
  options: Pick<KubeCertAgentControllerOptions, "store" | "clock" | "credentialIssuerName">,
): Controller {
  const { store, clock, credentialIssuerName } = options;
  const issuers = store.view(credentialIssuers);
  return {
    name: NAME,
    watch: (enqueue) => issuers.subscribe(({ name }) => name === credentialIssuerName && enqueue()),
    reconcile: async () => {
      const issuer = issuers.get({ name: credentialIssuerName });
      if (issuer === undefined) {
        return;
      }
      try {
        await reportStrategy({
          store,
          issuer,
          report: {
            type: TYPE,
            status: "Error",
            reason: "Disabled",
            message: "cluster signing key strategy is disabled by configuration",
          },
          now: clock.now(),
        });
      } catch (error) {
        if (!isNotLeader(error)) {
          throw error;
        }
      }
    },
  };
}
