import { encodeBase64 } from "./ca-bundle.ts";
import { isRecord, textIn, type UnknownRecord } from "./unknown-value.ts";
import { type JsonValue, writeYaml } from "./write-yaml.ts";

/** The names of what a kubeconfig gets, with the suffix of `--generated-name-suffix`. */
export interface EntryNames {
  readonly context: string;
  readonly cluster: string;
  readonly user: string;
}

/** A kubeconfig with one cluster, one user and one context. */
export interface WrittenKubeconfig {
  readonly names: EntryNames;
  readonly cluster: UnknownRecord;
  readonly user: UnknownRecord;
}

/** Fields of a `Cluster` that client-go leaves out when they say nothing. */
const OMITTED_WHEN_EMPTY = [
  ...["tls-server-name", "insecure-skip-tls-verify", "certificate-authority", "certificate-authority-data"],
  ...["proxy-url", "disable-compression", "extensions"],
];

/**
 * The source's cluster with all it holds, `server` and CA replaced where users are to go through the Concierge (contract cli.md
 * 2.6). An empty bundle stands for the system's roots: then no CA of the source may stay, as it is not this endpoint's.
 */
export function writtenCluster(
  source: UnknownRecord,
  concierge: { readonly endpoint: string; readonly caBundle: string } | undefined,
): UnknownRecord {
  const cluster: Record<string, unknown> = { ...source, server: source["server"] ?? "" };
  if (concierge !== undefined) {
    cluster["server"] = concierge.endpoint;
    cluster["certificate-authority-data"] = encodeBase64(concierge.caBundle);
    if (concierge.caBundle === "") {
      cluster["certificate-authority"] = "";
    }
  }
  for (const field of OMITTED_WHEN_EMPTY) {
    const value = cluster[field];
    if (value === null || value === "" || value === false || (Array.isArray(value) && value.length === 0)) {
      cluster[field] = undefined;
    }
  }
  const extensions = cluster["extensions"];
  if (Array.isArray(extensions)) {
    cluster["extensions"] = (extensions as unknown[]).toSorted((a, b) =>
      textIn(a, "name") < textIn(b, "name") ? -1 : 1,
    );
  }
  return Object.fromEntries(Object.entries(cluster).filter(([, value]) => value !== undefined));
}

/** The user: an exec plugin in the form of v1beta1, without `interactiveMode` (contract cli.md 2.6). */
export function writtenUser(exec: {
  readonly command: string;
  readonly args: readonly string[];
  readonly installHint: string;
}): UnknownRecord {
  return {
    exec: {
      apiVersion: "client.authentication.k8s.io/v1beta1",
      args: [...exec.args],
      command: exec.command,
      env: [],
      ...(exec.installHint === "" ? {} : { installHint: exec.installHint }),
      provideClusterInfo: true,
    },
  };
}

/** The whole file, byte for byte as the existing CLI writes it. */
export function kubeconfigText({ names, cluster, user }: WrittenKubeconfig): string {
  return writeYaml({
    apiVersion: "v1",
    clusters: [{ cluster: jsonValue(cluster), name: names.cluster }],
    contexts: [{ context: { cluster: names.cluster, user: names.user }, name: names.context }],
    "current-context": names.context,
    kind: "Config",
    preferences: {},
    users: [{ name: names.user, user: jsonValue(user) }],
  });
}

/** What came out of YAML as JSON would hold it. */
export function jsonValue(value: unknown): JsonValue {
  if (Array.isArray(value)) {
    return value.map(jsonValue);
  }
  if (isRecord(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, jsonValue(item)]));
  }
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : null;
}
