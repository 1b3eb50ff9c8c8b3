import type { Clock } from "../../../clock.ts";
import { LanyardError, messageOf } from "../../../errors.ts";
import type { Controller } from "../../../kube/controller.ts";
import type { PodExec } from "../../../kube/exec.ts";
import type { KubernetesClient } from "../../../kube/kubernetes-client.ts";
import { configMaps } from "../../../kube/objects.ts";
import type { ResourceStore } from "../../../kube/resource-store.ts";
import { deployments, nodes, pods } from "../../../kube/resources.ts";
import type { Pod } from "../../../kube/resources.ts";
import { parseCertificateBundle } from "../../../pki/certificate.ts";
import { credentialIssuers } from "../../../resources/credential-issuer.ts";
import type { TokenCredentialRequestAPIInfo } from "../../../resources/credential-issuer-status.ts";
import type { Logger } from "../../../telemetry/log.ts";
import type { Metrics } from "../../../telemetry/metrics.ts";
import type { KeyPair } from "../../state/concierge-state.ts";
import type { Holder, ReadonlyHolder } from "../../state/holder.ts";
import { CLUSTER_INFO, readClusterInfo } from "../cluster-info.ts";
import { reportStrategy } from "../credential-issuer-status.ts";
import type { StrategyReport } from "../credential-issuer-status.ts";
import { AGENT_LABELS, agentDeploymentName, wantedAgentDeployment } from "./agent-deployment.ts";
import type { AgentSettings } from "./agent-deployment.ts";
import { KUBE_CERT_AGENT_CONTROLLER as NAME, STRATEGY_TYPE as TYPE } from "./names.ts";
import { fetchAgentKey } from "./agent-key.ts";
import { ensureAgentDeployment } from "./ensure-agent-deployment.ts";
import { isNotLeader } from "../../../kube/not-leader.ts";
import { candidates, chooseControllerManagerPod, newestRunningFirst } from "./running-pods.ts";

const CONTROLLER_MANAGER_NAMESPACE = "kube-system";
const CONTROLLER_MANAGER_LABEL = "component=kube-controller-manager";
/** How long a fetched key is not fetched again (contract 6.5, clarification 16). */
const REMEMBER_MILLISECONDS = 15 * 60 * 1000;

export interface KubeCertAgentControllerOptions {
  readonly store: ResourceStore;
  /** For the list of Nodes, needed only when several controller managers run. */
  readonly client: Pick<KubernetesClient, "list">;
  readonly exec: PodExec;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, "certificateLoaded">;
  readonly clusterSigningKey: Holder<KeyPair | undefined>;
  readonly sharedAuthorityFault: ReadonlyHolder<string | undefined>;
  readonly agent: AgentSettings;
  /** `names.credentialIssuer`. */
  readonly credentialIssuerName: string;
  /** `discovery.url`. */
  readonly discoveryUrl: string | undefined;
}

/** What came of one look at the cluster. */
interface Outcome {
  readonly report: StrategyReport;
  /** Nothing in the cluster will tell when this is over: try again. */
  readonly retry?: unknown;
}

/**
 * The cluster signing key strategy (contract 6.5): keeps an agent beside the controller manager, has it print the
 * cluster's signing key, loads that and reports. Each replica fetches for itself; the leader alone writes. What is loaded
 * stays usable whatever happens, but for S11.
 */
export function createKubeCertAgentController(options: KubeCertAgentControllerOptions): Controller {
  const { store, clock, metrics, clusterSigningKey, sharedAuthorityFault, agent } = options;
  const { namespace } = agent;
  const log = options.log.named(NAME);
  const controllerManagers = store.view(pods, {
    namespace: CONTROLLER_MANAGER_NAMESPACE,
    labelSelector: CONTROLLER_MANAGER_LABEL,
  });
  const agentPods = store.view(pods, {
    namespace,
    labelSelector: Object.entries(AGENT_LABELS)
      .map(([key, value]) => `${key}=${value}`)
      .join(),
  });
  const agentDeployments = store.view(deployments, {
    namespace,
    fieldSelector: `metadata.name=${agentDeploymentName(agent)}`,
  });
  const clusterInfo = store.view(configMaps, {
    namespace: CLUSTER_INFO.namespace,
    fieldSelector: `metadata.name=${CLUSTER_INFO.name}`,
  });
  const issuers = store.view(credentialIssuers);
  let remembered: { readonly of: string; readonly until: number } | undefined;
  let said = "";

  const dropKey = (): void => {
    remembered = undefined;
    if (clusterSigningKey.current !== undefined) {
      clusterSigningKey.set(undefined);
      metrics.certificateLoaded("cluster_signer", undefined);
      log.warning("the cluster's signing key is not used any more");
    }
  };

  async function look(signal: AbortSignal): Promise<Outcome> {
    const fault = sharedAuthorityFault.current;
    if (fault !== undefined) {
      // S11: nothing may be signed with a CA that the front proxy's certificates could come from.
      dropKey();
      return { report: couldNotFetchKey(fault) };
    }
    let controllerManager: Pod | undefined;
    const managers = listed(() => controllerManagers.list(), "could not list controller manager pods");
    if ("report" in managers) {
      return managers;
    }
    try {
      controllerManager = await chooseControllerManagerPod(
        managers.pods,
        async () => (await options.client.list(nodes, { signal })).items,
      );
    } catch (error) {
      return { report: couldNotFetchKey(messageOf(error)), retry: error };
    }
    if (controllerManager === undefined) {
      const note =
        managers.pods.length > 0
          ? ""
          : ": note that this error is the expected behavior for some cluster types, including most cloud provider clusters (e.g. GKE, AKS, EKS)";
      return {
        report: couldNotFetchKey(
          `could not find a healthy kube-controller-manager pod ${candidates(managers.pods)}${note}`,
        ),
      };
    }
    const written = await writeDeployment(controllerManager);
    const seen = await useAgent(controllerManager, signal);
    // A Deployment that could not be written wins over all that comes later, also when the key did load (contract 5.3).
    return written ?? seen;
  }

  async function writeDeployment(controllerManager: Pod): Promise<Outcome | undefined> {
    try {
      await ensureAgentDeployment({
        store,
        view: agentDeployments,
        wanted: wantedAgentDeployment(agent, controllerManager),
        log,
      });
      return undefined;
    } catch (error) {
      if (isNotLeader(error)) {
        // The leader does it; its Pods serve all replicas.
        return undefined;
      }
      const message = `could not ensure agent deployment: ${messageOf(error)}`;
      return {
        report: couldNotFetchKey(message),
        retry: new LanyardError({ code: "kubeCertAgent.deployment", message, cause: error }),
      };
    }
  }

  async function useAgent(controllerManager: Pod, signal: AbortSignal): Promise<Outcome> {
    const found = listed(() => agentPods.list(), "could not list agent pods");
    if ("report" in found) {
      return found;
    }
    const [agentPod] = newestRunningFirst(found.pods);
    if (agentPod === undefined) {
      return { report: couldNotFetchKey(`could not find a healthy agent pod ${candidates(found.pods)}`) };
    }
    let tokenCredentialRequestInfo: TokenCredentialRequestAPIInfo;
    try {
      tokenCredentialRequestInfo = readClusterInfo(clusterInfo.get(CLUSTER_INFO), options.discoveryUrl);
    } catch (error) {
      return {
        report: { type: TYPE, status: "Error", reason: "CouldNotGetClusterInfo", message: messageOf(error) },
      };
    }
    try {
      await loadKey(agentPod, controllerManager, signal);
    } catch (error) {
      return { report: couldNotFetchKey(messageOf(error)), retry: error };
    }
    if (sharedAuthorityFault.current !== undefined) {
      // It came up while the agent was asked (S11).
      return { report: couldNotFetchKey(sharedAuthorityFault.current) };
    }
    return {
      report: {
        type: TYPE,
        status: "Success",
        reason: "FetchedKey",
        message: "key was fetched successfully",
        frontend: { type: "TokenCredentialRequestAPI", tokenCredentialRequestInfo },
      },
    };
  }

  /** Remembered per agent Pod and controller manager, so that a replaced controller manager is followed at once. */
  async function loadKey(agentPod: Pod, controllerManager: Pod, signal: AbortSignal): Promise<void> {
    const of = `${agentPod.metadata.uid ?? ""} ${controllerManager.metadata.uid ?? ""}`;
    if (remembered?.of === of && clock.now() < remembered.until && clusterSigningKey.current !== undefined) {
      return;
    }
    const pair = await fetchAgentKey(options.exec, agentPod, signal);
    if (sharedAuthorityFault.current !== undefined) {
      return;
    }
    const before = clusterSigningKey.current;
    try {
      clusterSigningKey.set(pair);
    } catch (error) {
      const { namespace: podNamespace = "", name } = agentPod.metadata;
      throw new LanyardError({
        code: "kubeCertAgent.key",
        message: `failed to set signing cert/key content from agent pod ${podNamespace}/${name}: ${messageOf(error)}`,
        cause: error,
      });
    }
    remembered = { of, until: clock.now() + REMEMBER_MILLISECONDS };
    metrics.certificateLoaded("cluster_signer", parseCertificateBundle(pair.certificatePem)[0]?.notAfter);
    if (clusterSigningKey.current !== before) {
      log.info("loaded the cluster's signing key", { pod: agentPod.metadata.name });
    }
  }

  async function report(strategy: StrategyReport): Promise<void> {
    if (said !== strategy.message) {
      said = strategy.message;
      log.info("cluster signing key strategy", { status: strategy.status, reason: strategy.message });
    }
    const issuer = issuers.get({ name: options.credentialIssuerName });
    if (issuer === undefined) {
      return;
    }
    try {
      await reportStrategy({ store, issuer, report: strategy, now: clock.now() });
    } catch (error) {
      // A replica that does not lead has nothing to repeat: it looks again when it leads, and when anything changes.
      if (!isNotLeader(error)) {
        throw error;
      }
    }
  }

  return {
    name: NAME,
    reconcile: async (signal) => {
      const { report: strategy, retry } = await look(signal);
      signal.throwIfAborted();
      await report(strategy);
      if (retry !== undefined) {
        throw retry;
      }
      return strategy.status === "Success" && remembered !== undefined
        ? { requeueAfterMilliseconds: Math.max(0, remembered.until - clock.now()) }
        : {};
    },
    watch: (enqueue) => {
      const stops = [
        controllerManagers.subscribe(enqueue),
        agentPods.subscribe(enqueue),
        agentDeployments.subscribe(enqueue),
        clusterInfo.subscribe(enqueue),
        issuers.subscribe(({ name }) => name === options.credentialIssuerName && enqueue()),
        sharedAuthorityFault.subscribe((fault) => {
          if (fault !== undefined) {
            dropKey();
          }
          enqueue();
        }),
      ];
      return () => stops.forEach((stop) => stop());
    },
  };
}

function couldNotFetchKey(message: string): StrategyReport {
  return { type: TYPE, status: "Error", reason: "CouldNotFetchKey", message };
}

function listed(list: () => readonly Pod[], what: string): { readonly pods: readonly Pod[] } | Outcome {
  try {
    return { pods: list() };
  } catch (error) {
    return { report: couldNotFetchKey(`${what}: ${messageOf(error)}`), retry: error };
  }
}
