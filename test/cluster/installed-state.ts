import { createHash } from "node:crypto";
import type { Cluster } from "../../hack/cluster/cluster.ts";
import { kubectl } from "../integration/harness/concierge.ts";
import { app, namespace } from "./proxy-cluster.ts";

/** What clients of an installation rely on, and what must therefore outlive whatever happens to a Pod. */
export interface InstalledState {
  /** SHA-256 of each Secret's data, by name. */
  readonly secrets: Readonly<Record<string, string>>;
  /** By APIService. */
  readonly caBundles: Readonly<Record<string, string>>;
  /** As the CredentialIssuer tells them, without the times. */
  readonly strategies: readonly object[];
}

interface List<T> {
  readonly items: readonly T[];
}

/** Reads it as the administrator. Helm's own records are left out. */
export async function installedState(cluster: Cluster): Promise<InstalledState> {
  const get = async <T>(...args: readonly string[]): Promise<T> =>
    JSON.parse(await kubectl(cluster, ["get", ...args, "--output=json"])) as T;
  const [secrets, apiServices, issuer] = await Promise.all([
    get<List<{ metadata: { name: string }; type: string; data?: object }>>(
      "secrets",
      `--namespace=${namespace}`,
    ),
    get<List<{ metadata: { name: string }; spec: { caBundle?: string } }>>(
      "apiservices",
      `--selector=app=${app}`,
    ),
    get<{ status: { strategies: readonly Readonly<Record<string, unknown>>[] } }>(
      "credentialissuer",
      `${app}-config`,
    ),
  ]);
  return {
    secrets: Object.fromEntries(
      secrets.items
        .filter(({ type }) => !type.startsWith("helm.sh/"))
        .map(({ metadata, data }) => [
          metadata.name,
          createHash("sha256")
            .update(JSON.stringify(data ?? {}))
            .digest("hex"),
        ]),
    ),
    caBundles: Object.fromEntries(
      apiServices.items.map(({ metadata, spec }) => [metadata.name, spec.caBundle ?? ""]),
    ),
    strategies: issuer.status.strategies.map((strategy) => ({ ...strategy, lastUpdateTime: undefined })),
  };
}
