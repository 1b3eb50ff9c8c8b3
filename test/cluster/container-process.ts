import assert from "node:assert/strict";
import type { Cluster } from "../../hack/cluster/cluster.ts";
import { insideNode } from "../../hack/cluster/network.ts";
import { runCommand } from "../../hack/cluster/run-command.ts";
import { kubectl } from "../integration/harness/concierge.ts";

/** Sends SIGKILL to the first process of a Pod's only container, which ends with it; nobody is told before. */
export async function killContainer(cluster: Cluster, namespace: string, pod: string): Promise<void> {
  const onNode = async (...command: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await runCommand(insideNode(cluster.folder, command));
    assert.equal(code, 0, stderr);
    return stdout;
  };
  const id = (
    await kubectl(cluster, [
      "get",
      "pod",
      pod,
      `--namespace=${namespace}`,
      "--output=jsonpath={.status.containerStatuses[0].containerID}",
    ])
  ).replace("containerd://", "");
  const tasks = await onNode("ctr", "--namespace=k8s.io", "tasks", "list");
  const pid = new RegExp(`^${id}\\s+(\\d+)\\s+RUNNING`, "m").exec(tasks)?.[1];
  assert.ok(pid !== undefined, `no running task ${id} in\n${tasks}`);
  await onNode("/bin/sh", "-c", `kill -KILL ${pid}`);
}
