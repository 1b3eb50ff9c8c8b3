import { readFile } from "node:fs/promises";
import { cacheKey, type ClusterInfo } from "../cache/cache-key.ts";
import type { ParsedFlags } from "../command-line/flag.ts";
import { loginOidcFlags, loginStaticFlags } from "../command-line/login-flags.ts";
import { parseFlags } from "../command-line/parse-flags.ts";
import type { CommandContext } from "../context.ts";
import { isRecord, listIn, recordIn, textIn, type UnknownRecord } from "../kubeconfig/unknown-value.ts";

/** The credential plugin that a kubeconfig's user names, as far as it is ours or the existing CLI. */
export interface ConfiguredPlugin {
  readonly command: string;
  readonly apiVersion: string;
  readonly login: "oidc" | "static";
  /** As in the kubeconfig; may hold a token. */
  readonly args: readonly string[];
  readonly flags: ParsedFlags;
  /** With the variables that the kubeconfig adds. */
  readonly context: CommandContext;
}

/**
 * Reads `user.exec` of a kubeconfig; nothing where it is not a call of `login oidc` or `login static`.
 *
 * @throws CommandError for arguments that the plugin itself would refuse
 */
export function readConfiguredPlugin(
  context: CommandContext,
  user: UnknownRecord,
): ConfiguredPlugin | undefined {
  const exec = user["exec"];
  if (!isRecord(exec)) {
    return undefined;
  }
  const args = listIn(exec, "args").filter((each): each is string => typeof each === "string");
  const [group, login, ...rest] = args;
  if (group !== "login" || (login !== "oidc" && login !== "static")) {
    return undefined;
  }
  const added = listIn(exec, "env").map((item) => [textIn(item, "name"), textIn(item, "value")] as const);
  const environment = { ...context.environment, ...Object.fromEntries(added) };
  const specifications = login === "oidc" ? loginOidcFlags(environment) : loginStaticFlags(environment);
  return {
    command: textIn(exec, "command"),
    apiVersion: textIn(exec, "apiVersion"),
    login,
    args,
    flags: parseFlags(specifications, rest).flags,
    context: { ...context, environment },
  };
}

/** The token of `login static`, or nothing if its variable is not there. */
export function configuredToken({ flags, context }: ConfiguredPlugin): string | undefined {
  const name = flags.string("token-env");
  return name === "" ? flags.string("token") : context.environment[name];
}

/**
 * The keys under which the plugin's credential may be cached: with the cluster that a client tells, and without, as clients differ
 * in whether and in which version they do.
 */
export async function configuredCacheKeys(
  plugin: ConfiguredPlugin,
  cluster: UnknownRecord,
): Promise<readonly string[]> {
  const token = plugin.login === "static" ? configuredToken(plugin) : undefined;
  if (plugin.login === "static" && token === undefined) {
    return [];
  }
  const told = [await clusterInfoOf(cluster), null];
  return told.map((each) => cacheKey({ args: plugin.args, token, cluster: each }));
}

const COPIED = [
  "server",
  "tls-server-name",
  "insecure-skip-tls-verify",
  "proxy-url",
  "disable-compression",
] as const;

/** What client-go tells of a cluster (`ConfigToExecCluster`): files are sent by their content. */
async function clusterInfoOf(cluster: UnknownRecord): Promise<ClusterInfo> {
  const extension = listIn(cluster, "extensions").find(
    (item) => textIn(item, "name") === "client.authentication.k8s.io/exec",
  );
  const file = textIn(cluster, "certificate-authority");
  const data =
    textIn(cluster, "certificate-authority-data") ||
    (file === "" ? "" : await readFile(file, "base64").catch(() => ""));
  return {
    server: "",
    ...Object.fromEntries(COPIED.map((key) => [key, cluster[key]]).filter(([, value]) => value != null)),
    ...(data === "" ? {} : { "certificate-authority-data": data }),
    config: recordIn(extension)["extension"] ?? null,
  };
}
