/** The variables that change how Node itself behaves and that must not be set (S20, T6, T10, H8). */
export const FORBIDDEN_VARIABLES = [
  "NODE_OPTIONS",
  "NODE_TLS_REJECT_UNAUTHORIZED",
  "NODE_EXTRA_CA_CERTS",
  "NODE_DEBUG",
  "NODE_DEBUG_NATIVE",
  "NODE_V8_COVERAGE",
] as const;

/** All that is read from the process environment (contract 9.1); nothing else reads it. */
export interface Environment {
  /** Where HTTPS requests to the outside go through; undefined: straight. */
  readonly httpsProxy: string | undefined;
  /** As in Go's `httpproxy.Config.NoProxy`; empty: nothing is excepted. */
  readonly noProxy: string;
  /** The in-cluster address of the kube-apiserver. */
  readonly kubernetesService: { readonly host: string; readonly port: string } | undefined;
  /** Names of the `FORBIDDEN_VARIABLES` that are set. */
  readonly forbidden: readonly string[];
}

/** Upper-case names win, as in Go's `golang.org/x/net/http/httpproxy`; an empty value counts as absent. */
export function readEnvironment(
  variables: Readonly<Record<string, string | undefined>> = process.env,
): Environment {
  const read = (...names: readonly string[]): string | undefined =>
    names.map((name) => variables[name]).find((value) => value !== undefined && value !== "");
  const host = read("KUBERNETES_SERVICE_HOST");
  const port = read("KUBERNETES_SERVICE_PORT");
  return {
    httpsProxy: read("HTTPS_PROXY", "https_proxy"),
    noProxy: read("NO_PROXY", "no_proxy") ?? "",
    kubernetesService: host === undefined || port === undefined ? undefined : { host, port },
    forbidden: FORBIDDEN_VARIABLES.filter((name) => read(name) !== undefined),
  };
}
