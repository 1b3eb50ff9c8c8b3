import { escapeJsonAsGo } from "../../go-json.ts";
import { sha256 } from "./sha256.ts";

/**
 * `spec.cluster` of an ExecCredential (client.authentication.k8s.io/v1beta1 `Cluster`), as JSON. `config` is whatever the
 * kubeconfig's cluster extension `client.authentication.k8s.io/exec` holds.
 */
export interface ClusterInfo {
  readonly server: string;
  readonly "tls-server-name"?: string | undefined;
  readonly "insecure-skip-tls-verify"?: boolean | undefined;
  /** base64 */
  readonly "certificate-authority-data"?: string | undefined;
  readonly "proxy-url"?: string | undefined;
  readonly "disable-compression"?: boolean | undefined;
  readonly config?: unknown;
}

/** What a cached credential was made for (contract cli.md 7). */
export interface CacheKeyInput {
  /** Every argument after the program's name, as typed. */
  readonly args: readonly string[];
  /** Only `login static`: the token itself. */
  readonly token?: string | undefined;
  /** null: `KUBERNETES_EXEC_INFO` told of no cluster. */
  readonly cluster: ClusterInfo | null;
}

/** The name of a credential in `credentials.yaml`: lower-case hexadecimal SHA-256 of the JSON that Go's encoder writes (contract cli.md 7). */
export function cacheKey({ args, token, cluster }: CacheKeyInput): string {
  const input = token === undefined ? { args, cluster: null } : { args, token, cluster: null };
  const text = JSON.stringify(input);
  // The cluster is the last field: its text takes the place of the last `null`.
  return hashLine(`${text.slice(0, -"null}".length)}${cluster === null ? "null" : clusterText(cluster)}}`);
}

/** The key of the contract's third vector: the digest of one line of JSON, escaped as Go does, with its newline. */
export function hashLine(json: string): string {
  return sha256(`${escapeJsonAsGo(json)}\n`);
}

const OPTIONAL_FIELDS = [
  "tls-server-name",
  "insecure-skip-tls-verify",
  "certificate-authority-data",
  "proxy-url",
  "disable-compression",
] as const;

function clusterText(cluster: ClusterInfo): string {
  const ordered: Record<string, unknown> = { server: cluster.server };
  for (const field of OPTIONAL_FIELDS) {
    const value = cluster[field];
    if (value !== undefined && value !== "" && value !== false) {
      ordered[field] = value;
    }
  }
  ordered["config"] = cluster.config ?? null;
  return JSON.stringify(ordered);
}
