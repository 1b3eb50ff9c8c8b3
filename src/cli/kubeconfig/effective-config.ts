import { readFile } from "node:fs/promises";
import { goQuote } from "../../go-text.ts";
import type { CommandContext } from "../context.ts";
import type { Kubeconfig } from "./kubeconfig.ts";
import { recordIn, textIn, type UnknownRecord } from "./unknown-value.ts";
import { failure } from "./visible-text.ts";

/** A cluster and a user to call it as, and what people know the cluster by. */
export interface EffectiveConfig {
  readonly cluster: UnknownRecord;
  readonly user: UnknownRecord;
  /** Absent where no context and cluster of the kubeconfig are behind it. */
  readonly clusterName?: string;
}

const SERVICE_ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";

/**
 * What a context comes to, by client-go's rules (`clientcmd.ClientConfig`): without any kubeconfig a Pod's own ServiceAccount.
 *
 * @throws CommandError `cli.no-configuration`, text `could not configure Kubernetes client: …`
 */
export async function effectiveConfig(
  config: Kubeconfig,
  override: string,
  { environment }: Pick<CommandContext, "environment">,
): Promise<EffectiveConfig> {
  const contextName = override === "" ? config.currentContext : override;
  const context = config.contexts.get(contextName)?.value;
  if (override !== "" && context === undefined) {
    throw refused(`context ${goQuote(override)} does not exist`);
  }
  if (contextName !== "" && context === undefined) {
    throw refused(`context was not found for specified context: ${contextName}`);
  }
  const clusterName = textIn(context, "cluster");
  const userName = textIn(context, "user");
  const cluster = config.clusters.get(clusterName)?.value;
  const user = config.users.get(userName)?.value;
  if (override !== "" && userName !== "" && user === undefined) {
    throw refused(`auth info ${goQuote(userName)} does not exist`);
  }
  if (cluster !== undefined && textIn(cluster, "server") !== "") {
    return { cluster, user: recordIn(user), clusterName };
  }
  if (override !== "" && cluster === undefined) {
    throw refused(`cluster ${goQuote(clusterName)} does not exist`);
  }
  return (await inCluster(environment)) ?? noConfiguration();
}

async function inCluster(environment: CommandContext["environment"]): Promise<EffectiveConfig | undefined> {
  const host = environment["KUBERNETES_SERVICE_HOST"] ?? "";
  const port = environment["KUBERNETES_SERVICE_PORT"] ?? "";
  const tokenFile = `${SERVICE_ACCOUNT_FOLDER}/token`;
  const token = await readFile(tokenFile, "utf8").catch(() => "");
  if (host === "" || port === "" || token === "") {
    return undefined;
  }
  const address = host.includes(":") ? `[${host}]` : host;
  return {
    cluster: {
      server: `https://${address}:${port}`,
      "certificate-authority": `${SERVICE_ACCOUNT_FOLDER}/ca.crt`,
    },
    user: { tokenFile },
  };
}

function noConfiguration(): never {
  throw refused(
    "invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER environment variable",
  );
}

function refused(why: string): Error {
  return failure("cli.no-configuration", `could not configure Kubernetes client: ${why}`);
}
