import type { Cluster } from "../../hack/cluster/cluster.ts";
import { kubectl } from "../integration/harness/concierge.ts";

/** What Kubernetes writes by itself while nobody does anything: resources, and objects as below. */
const ofKubernetes = new Set(["events", "events.events.k8s.io", "componentstatuses"]);
const leaseOfKubernetes = /^Lease\.coordination\.k8s\.io kube-(?:node-lease|system)\//;

/**
 * Every object of every API that can be listed, cluster-scoped ones and those of all namespaces, as `kind namespace/name` or
 * `kind name`. The kind has its API group behind it where it has one.
 */
export async function inventory(cluster: Cluster): Promise<ReadonlySet<string>> {
  const resources = (await kubectl(cluster, ["api-resources", "--verbs=list", "--output=name"]))
    .split("\n")
    .filter((resource) => resource !== "" && !ofKubernetes.has(resource));
  const printed = await kubectl(cluster, [
    "get",
    resources.join(","),
    "--all-namespaces",
    '--output=jsonpath={range .items[*]}{.kind}{"|"}{.apiVersion}{"|"}{.metadata.namespace}{"|"}{.metadata.name}{"\\n"}{end}',
  ]);
  return new Set(
    printed
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => {
        const [kind = "", apiVersion = "", namespace = "", name = ""] = line.split("|");
        const group = apiVersion.includes("/") ? `.${apiVersion.split("/")[0]}` : "";
        return `${kind}${group} ${namespace === "" ? "" : `${namespace}/`}${name}`;
      })
      .filter((object) => !leaseOfKubernetes.test(object)),
  );
}

/** What is in `now` and was not in `before`, and the other way round, sorted. */
export function difference(
  before: ReadonlySet<string>,
  now: ReadonlySet<string>,
): { readonly come: readonly string[]; readonly gone: readonly string[] } {
  return { come: [...now.difference(before)].toSorted(), gone: [...before.difference(now)].toSorted() };
}
