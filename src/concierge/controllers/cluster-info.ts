import { parse } from "yaml";
import { LanyardError } from "../../errors.ts";
import type { ConfigMap, ObjectKey } from "../../kube/objects.ts";

/** Where clusters publish how to reach them (contract 5.3). */
export const CLUSTER_INFO: Required<ObjectKey> = { namespace: "kube-public", name: "cluster-info" };

/** `frontend.tokenCredentialRequestInfo` of a strategy whose credentials the kube-apiserver accepts. */
export interface ClusterInfo {
  readonly server: string;
  /** Base64 of PEM. */
  readonly certificateAuthorityData: string;
}

const KEY = "kubeconfig";

/**
 * The first cluster of the kubeconfig in `kube-public/cluster-info`; `discoveryUrl` replaces its server (contract 5.3).
 * Refusals, with the contract's texts: `clusterInfo.missing`, `clusterInfo.malformed`.
 */
export function readClusterInfo(
  configMap: ConfigMap | undefined,
  discoveryUrl: string | undefined,
): ClusterInfo {
  if (configMap === undefined) {
    throw new LanyardError({
      code: "clusterInfo.missing",
      message: `failed to get kube-public/cluster-info configmap: configmap "${CLUSTER_INFO.name}" not found`,
    });
  }
  const text = configMap.data?.[KEY];
  if (text === undefined) {
    throw malformed(`missing "${KEY}" key`);
  }
  const [cluster] = clustersOf(text);
  if (cluster === undefined) {
    throw malformed(`kubeconfig in key "${KEY}" does not contain any clusters`);
  }
  const server = discoveryUrl ?? cluster.server;
  if (server === "" || cluster.certificateAuthorityData === "") {
    // The status has no room for nothing.
    throw malformed(`key "${KEY}" does not contain a valid kubeconfig`);
  }
  return { ...cluster, server };
}

function malformed(what: string): LanyardError {
  return new LanyardError({
    code: "clusterInfo.malformed",
    message: `could not extract Kubernetes API endpoint info from kube-public/cluster-info configmap: ${what}`,
  });
}

function clustersOf(text: string): readonly ClusterInfo[] {
  const invalid = (): LanyardError => malformed(`key "${KEY}" does not contain a valid kubeconfig`);
  let kubeconfig: unknown;
  try {
    kubeconfig = parse(text, { maxAliasCount: 0, logLevel: "error" });
  } catch {
    throw invalid();
  }
  const { clusters = [] } = objectOf(kubeconfig, invalid) as { readonly clusters?: unknown };
  if (!Array.isArray(clusters ?? [])) {
    throw invalid();
  }
  return ((clusters ?? []) as readonly unknown[]).map((entry) => {
    const named = objectOf(entry, invalid) as { readonly cluster?: unknown };
    const cluster = objectOf(named.cluster ?? {}, invalid) as Readonly<Record<string, unknown>>;
    const { server = "", "certificate-authority-data": authority = "" } = cluster;
    if (typeof server !== "string" || typeof authority !== "string") {
      throw invalid();
    }
    return {
      server,
      certificateAuthorityData: Buffer.from(authority, "base64").toString("base64"),
    };
  });
}

function objectOf(value: unknown, invalid: () => LanyardError): object {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalid();
  }
  return value;
}
