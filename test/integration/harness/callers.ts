import { parse } from "yaml";
import type { Cluster } from "../../../hack/cluster/cluster.ts";
import { eventually } from "./eventually.ts";
import type { Installation, Replica } from "./concierge.ts";
import { type Answer, type Call, type Caller, call, readText } from "./http.ts";
import { kubectl } from "./concierge.ts";

/** The user `kubernetes-admin`, by the certificate in the cluster's kubeconfig. */
export function administrator(cluster: Cluster): Caller {
  const kubeconfig = parse(readText(cluster.kubeconfig)) as {
    readonly users: readonly { readonly user: Readonly<Record<string, string>> }[];
  };
  const user = kubeconfig.users[0]?.user ?? {};
  return {
    certificatePem: fromBase64(user["client-certificate-data"]),
    privateKeyPem: fromBase64(user["client-key-data"]),
  };
}

/** What the kube-apiserver shows to aggregated APIs; who is behind it stands in headers. */
export function frontProxy(cluster: Cluster): Caller {
  return {
    certificatePem: readText(cluster.frontProxyClient.cert),
    privateKeyPem: readText(cluster.frontProxyClient.key),
  };
}

function fromBase64(text: string | undefined): string {
  return Buffer.from(text ?? "", "base64").toString("utf8");
}

/** Calls one replica without the kube-apiserver in between, verifying the certificate that the APIServices vouch for. */
export type StraightCall = (path: string, options?: Partial<Call>) => Promise<Answer>;

export async function straightAt(installation: Installation, replica: Replica): Promise<StraightCall> {
  const { cluster, app, namespace } = installation;
  const caPem = await eventually("the CA in the APIService", async () => {
    const bundle = await kubectl(cluster, [
      "get",
      "apiservice",
      "v1alpha1.login.concierge.pinniped.dev",
      "--output=jsonpath={.spec.caBundle}",
    ]);
    return bundle === "" ? undefined : fromBase64(bundle);
  });
  return (path, options = {}) =>
    call({
      server: `https://127.0.0.1:${replica.port}`,
      serverName: `${app}-api.${namespace}.svc`,
      caPem,
      path,
      ...options,
    });
}
