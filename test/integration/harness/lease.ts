import type { Lease, LeaseSpec } from "../../../src/kube/leader-election-lease.ts";
import type { KubernetesClient } from "../../../src/kube/kubernetes-client.ts";
import type { Installation, Replica } from "./concierge.ts";
import { eventually } from "./eventually.ts";

/** The Lease that the replicas share (contract 6.8). */
export async function readLease(installation: Installation, client: KubernetesClient): Promise<LeaseSpec> {
  const { namespace, app } = installation;
  const answer = await client.raw({
    method: "GET",
    path: `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${app}`,
  });
  if (answer.status !== 200) {
    throw new Error(`no Lease: ${answer.status} ${answer.text}`);
  }
  return (JSON.parse(answer.text) as Lease).spec ?? {};
}

/** The replica that leads, and the others. */
export async function findLeader(
  installation: Installation,
  client: KubernetesClient,
  replicas: readonly Replica[],
): Promise<{ readonly leader: Replica; readonly others: readonly Replica[] }> {
  return eventually("a leader", async () => {
    const { holderIdentity } = await readLease(installation, client);
    const leader = replicas.find(({ podName }) => podName === holderIdentity);
    return leader === undefined
      ? undefined
      : { leader, others: replicas.filter((replica) => replica !== leader) };
  });
}
