import { goQuote } from "../../go-text.ts";
import { failure } from "./visible-text.ts";
import { textIn, type UnknownRecord } from "./unknown-value.ts";

/** One `cluster`, `context` or `user` of a kubeconfig with all its fields, paths made absolute. */
export interface KubeconfigEntry {
  readonly value: UnknownRecord;
  /** The file it came from. */
  readonly file: string;
}

/** One or several kubeconfigs put together by client-go's rules: the first that names something decides. */
export interface Kubeconfig {
  readonly clusters: ReadonlyMap<string, KubeconfigEntry>;
  readonly contexts: ReadonlyMap<string, KubeconfigEntry>;
  readonly users: ReadonlyMap<string, KubeconfigEntry>;
  /** Empty when no file sets it. */
  readonly currentContext: string;
  /** The files that were there, in order. */
  readonly files: readonly string[];
}

/** What a context stands for, with its names. */
export interface SourceContext {
  readonly contextName: string;
  readonly clusterName: string;
  readonly userName: string;
  readonly cluster: UnknownRecord;
  readonly user: UnknownRecord;
}

/**
 * Finds the context of the flag, else the current one, with its cluster and user (contract cli.md 2.8).
 *
 * @throws CommandError `cli.kubeconfig-context`
 */
export function sourceContext(config: Kubeconfig, override: string): SourceContext {
  const contextName = override === "" ? config.currentContext : override;
  const found = <T>(kind: string, name: string, entry: T | undefined): T => {
    if (entry === undefined) {
      throw failure(
        "cli.kubeconfig-context",
        `could not load --kubeconfig/--kubeconfig-context: no such ${kind} ${goQuote(name)}`,
      );
    }
    return entry;
  };
  const context = found("context", contextName, config.contexts.get(contextName)).value;
  const clusterName = textIn(context, "cluster");
  const userName = textIn(context, "user");
  return {
    contextName,
    clusterName,
    userName,
    cluster: found("cluster", clusterName, config.clusters.get(clusterName)).value,
    user: found("user", userName, config.users.get(userName)).value,
  };
}
