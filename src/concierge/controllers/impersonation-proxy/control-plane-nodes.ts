import { LanyardError, messageOf } from "../../../errors.ts";
import type { KubernetesClient } from "../../../kube/kubernetes-client.ts";
import { nodes } from "../../../kube/resources.ts";

const ROLE_KEYS = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];
const ROLE_LABEL = "kubernetes.io/node-role";
const ROLES = ["control-plane", "master"];
const PAGE = 500;

/**
 * Answers whether this cluster shows control-plane nodes (contract 6.6). Asked once per process: after the first answer
 * the cluster is not asked again. Refusals `no nodes found` and `error fetching nodes: ...`.
 */
export function createControlPlaneDetection(
  client: Pick<KubernetesClient, "list">,
): (signal: AbortSignal) => Promise<boolean> {
  let known: boolean | undefined;
  return async (signal) => (known ??= await detect(client, signal));
}

async function detect(client: Pick<KubernetesClient, "list">, signal: AbortSignal): Promise<boolean> {
  let count = 0;
  let continueToken: string | undefined;
  do {
    const page = await listPage(client, signal, continueToken);
    if (page.items.some(({ metadata }) => isControlPlane(metadata.labels ?? {}))) {
      return true;
    }
    count += page.items.length;
    ({ continueToken } = page);
  } while (continueToken !== undefined);
  if (count === 0) {
    throw failure("no nodes found");
  }
  return false;
}

async function listPage(
  client: Pick<KubernetesClient, "list">,
  signal: AbortSignal,
  continueToken: string | undefined,
): ReturnType<typeof client.list> {
  try {
    return await client.list(nodes, {
      limit: PAGE,
      signal,
      ...(continueToken === undefined ? {} : { continueToken }),
    });
  } catch (error) {
    throw failure(`error fetching nodes: ${messageOf(error)}`, error);
  }
}

function isControlPlane(labels: Readonly<Record<string, string>>): boolean {
  return ROLE_KEYS.some((key) => Object.hasOwn(labels, key)) || ROLES.includes(labels[ROLE_LABEL] ?? "");
}

function failure(message: string, cause?: unknown): LanyardError {
  return new LanyardError({ code: "impersonationProxy.nodes", message, cause });
}
