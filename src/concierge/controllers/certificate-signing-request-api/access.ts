import type { KubernetesClient } from "../../../kube/kubernetes-client.ts";
import { emptyMetadata, selfSubjectAccessReviews } from "../../../kube/resources.ts";
import { CLUSTER_SIGNER } from "../../credentials/cluster-signing.ts";

const RIGHTS: readonly { readonly verb: string; readonly what: string; readonly name?: string }[] = [
  { verb: "create", what: "certificatesigningrequests" },
  { verb: "get", what: "certificatesigningrequests" },
  { verb: "list", what: "certificatesigningrequests" },
  { verb: "delete", what: "certificatesigningrequests" },
  { verb: "update", what: "certificatesigningrequests/approval" },
  { verb: "approve", what: "signers", name: CLUSTER_SIGNER },
];

/** The rights that this ServiceAccount lacks for signing through the cluster, for people; empty: none. */
export async function missingRights(
  client: Pick<KubernetesClient, "review">,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const answers = await Promise.all(
    RIGHTS.map(async ({ verb, what, name }) => {
      const [resource = "", subresource] = what.split("/");
      const answer = await client.review(
        selfSubjectAccessReviews,
        {
          apiVersion: "authorization.k8s.io/v1",
          kind: selfSubjectAccessReviews.kind,
          metadata: emptyMetadata,
          spec: {
            resourceAttributes: {
              group: "certificates.k8s.io",
              verb,
              resource,
              ...(subresource === undefined ? {} : { subresource }),
              ...(name === undefined ? {} : { name }),
            },
          },
        },
        signal,
      );
      return answer.status?.allowed === true
        ? undefined
        : `${verb} ${what}${name === undefined ? "" : ` ${name}`}`;
    }),
  );
  return answers.filter((missing) => missing !== undefined);
}
