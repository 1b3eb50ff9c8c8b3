import type { Deployment, Pod } from "../../../kube/resources.ts";
import { signingKeyFiles } from "./signing-key-files.ts";

/** Marks the agent's Pods; the value changes when old agents cannot serve any more (contract 6.5). */
export const AGENT_LABELS: Readonly<Record<string, string>> = { "kube-cert-agent.pinniped.dev": "v3" };
/** The agent's one container. */
export const AGENT_CONTAINER = "sleeper";
/** The agent's program, in the image. */
export const AGENT_PROGRAM = "pinniped-concierge-kube-cert-agent";

/** What the configuration says about the agent (contract 9.2). */
export interface AgentSettings {
  readonly namespace: string;
  /** `kubeCertAgent.namePrefix`. */
  readonly namePrefix: string;
  readonly image: string;
  readonly imagePullSecrets: readonly string[];
  readonly priorityClassName: string;
  /** `names.agentServiceAccount`. */
  readonly serviceAccountName: string;
  /** The configuration's labels. */
  readonly labels: Readonly<Record<string, string>>;
}

export function agentDeploymentName({ namePrefix }: Pick<AgentSettings, "namePrefix">): string {
  return namePrefix.replace(/-$/, "");
}

/**
 * The agent's Deployment (contract 6.5): on the node of `controllerManager`, with its volumes, so that it sees the same
 * key files. Each field that is ours to decide is there, even when it is empty.
 */
export function wantedAgentDeployment(settings: AgentSettings, controllerManager: Pod): Deployment {
  const { namespace, labels, priorityClassName } = settings;
  const spec = controllerManager.spec ?? {};
  const files = signingKeyFiles(controllerManager);
  // With label `app` the Concierge's own Services and Deployment would take the agent for one of theirs.
  const { app: _, ...podLabels } = labels;
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: agentDeploymentName(settings), namespace, labels },
    spec: {
      replicas: 1,
      minReadySeconds: 10,
      selector: { matchLabels: AGENT_LABELS },
      template: {
        metadata: { labels: { ...podLabels, ...AGENT_LABELS } },
        spec: {
          terminationGracePeriodSeconds: 0,
          restartPolicy: "Always",
          automountServiceAccountToken: false,
          serviceAccountName: settings.serviceAccountName,
          priorityClassName,
          imagePullSecrets: settings.imagePullSecrets.map((name) => ({ name })),
          securityContext: { runAsUser: 0, runAsGroup: 0 },
          nodeName: spec.nodeName ?? "",
          nodeSelector: spec.nodeSelector ?? {},
          tolerations: spec.tolerations ?? [],
          hostNetwork: spec["hostNetwork"] === true,
          volumes: spec.volumes ?? [],
          containers: [
            {
              name: AGENT_CONTAINER,
              image: settings.image,
              imagePullPolicy: "IfNotPresent",
              command: [AGENT_PROGRAM, "sleep"],
              volumeMounts: spec.containers?.[0]?.volumeMounts ?? [],
              env: [
                { name: "CERT_PATH", value: files.certificate },
                { name: "KEY_PATH", value: files.key },
              ],
              resources: {
                limits: { memory: "32Mi", cpu: "20m" },
                // Without it the API server would take the limit.
                requests: { memory: "32Mi", cpu: "0" },
              },
            },
          ],
        },
      },
    },
  };
}
