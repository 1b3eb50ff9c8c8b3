import type { ClusterInfo } from "../cache/cache-key.ts";
import type { ExecCredentialVersion } from "./output.ts";

/** What a client told its credential plugin in `KUBERNETES_EXEC_INFO`. */
export interface ExecInfo {
  /** Whether the variable is set and not empty: no person types this. */
  readonly given: boolean;
  /** In which version the answer is expected. */
  readonly version: ExecCredentialVersion;
  /** For the credential cache's key only; null unless version v1beta1 told of a cluster (contract cli.md 3). */
  readonly cluster: ClusterInfo | null;
  /** false: the client keeps its standard input to itself (`interactiveMode`), so nothing may be asked there. */
  readonly interactive: boolean;
}

const API_GROUP = "client.authentication.k8s.io/";
const TEXTS = ["server", "tls-server-name", "certificate-authority-data", "proxy-url"] as const;
const FLAGS = ["insecure-skip-tls-verify", "disable-compression"] as const;

/** Reads `KUBERNETES_EXEC_INFO`; what cannot be read is silently no information (contract cli.md 3). */
export function readExecInfo(text: string | undefined): ExecInfo {
  const given = text !== undefined && text !== "";
  const nothing: ExecInfo = { given, version: "v1beta1", cluster: null, interactive: true };
  if (!given) {
    return nothing;
  }
  let value: unknown;
  try {
    value = parseKeepingNumbers(text);
  } catch {
    return nothing;
  }
  if (!isRecord(value) || value["kind"] !== "ExecCredential") {
    return nothing;
  }
  const spec = isRecord(value["spec"]) ? value["spec"] : {};
  const interactive = spec["interactive"] !== false;
  if (value["apiVersion"] === `${API_GROUP}v1`) {
    return { given, version: "v1", cluster: null, interactive };
  }
  if (value["apiVersion"] !== `${API_GROUP}v1beta1`) {
    return nothing;
  }
  return { given, version: "v1beta1", cluster: clusterOf(spec["cluster"]), interactive };
}

function clusterOf(value: unknown): ClusterInfo | null {
  if (!isRecord(value)) {
    return null;
  }
  const sound =
    TEXTS.every(
      (field) => value[field] === undefined || value[field] === null || typeof value[field] === "string",
    ) &&
    FLAGS.every(
      (field) => value[field] === undefined || value[field] === null || typeof value[field] === "boolean",
    );
  if (!sound) {
    return null;
  }
  const present = Object.entries(value).filter(([, each]) => each !== null);
  return { server: "", ...Object.fromEntries(present) };
}

/**
 * `config` belongs to the key as it was written: a number that JavaScript would write otherwise keeps its text. Few clusters have one,
 * and looking at every value while parsing is slow.
 */
function parseKeepingNumbers(text: string): unknown {
  const value: unknown = JSON.parse(text);
  const spec = isRecord(value) ? value["spec"] : undefined;
  const cluster = isRecord(spec) ? spec["cluster"] : undefined;
  return isRecord(cluster) && holdsNumber(cluster["config"]) ? JSON.parse(text, keepNumber) : value;
}

function holdsNumber(value: unknown): boolean {
  return typeof value === "object" && value !== null
    ? Object.values(value).some(holdsNumber)
    : typeof value === "number";
}

function keepNumber(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const { rawJSON } = JSON as unknown as { readonly rawJSON: (text: string) => unknown };
  return typeof value === "number" && context?.source !== undefined && String(value) !== context.source
    ? rawJSON(context.source)
    : value;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
