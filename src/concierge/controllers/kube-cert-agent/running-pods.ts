import { LanyardError, messageOf } from "../../../errors.ts";
import type { Node, Pod } from "../../../kube/resources.ts";

/** Pods whose phase is Running, the newest first, those of one second by name (contract 6.5). */
export function newestRunningFirst(pods: readonly Pod[]): readonly Pod[] {
  return pods
    .filter(({ status }) => status?.phase === "Running")
    .toSorted(
      (a, b) =>
        compare(b.metadata.creationTimestamp ?? "", a.metadata.creationTimestamp ?? "") ||
        compare(a.metadata.name, b.metadata.name),
    );
}

/**
 * The controller manager's Pod to take the key from (contract 6.5): the newest running one; of several, the newest on a
 * node that is not cordoned. `listNodes` is called only when there are several. Undefined: none is running.
 */
export async function chooseControllerManagerPod(
  pods: readonly Pod[],
  listNodes: () => Promise<readonly Node[]>,
): Promise<Pod | undefined> {
  const running = newestRunningFirst(pods);
  if (running.length <= 1) {
    return running[0];
  }
  let nodes: readonly Node[];
  try {
    nodes = await listNodes();
  } catch (error) {
    throw new LanyardError({
      code: "kubeCertAgent.nodes",
      message: `error while looking for controller manager pod: ${messageOf(error)}`,
      cause: error,
    });
  }
  const schedulable = new Set(
    nodes.filter(({ spec }) => spec?.unschedulable !== true).map(({ metadata }) => metadata.name),
  );
  return running.find(({ spec }) => schedulable.has(spec?.nodeName ?? "")) ?? running[0];
}

/** `(2 candidates)`, as the contract's messages count (5.3). */
export function candidates(pods: readonly Pod[]): string {
  return `(${pods.length} candidate${pods.length === 1 ? "" : "s"})`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
