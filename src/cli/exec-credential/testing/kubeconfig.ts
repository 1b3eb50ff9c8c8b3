import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Writes a kubeconfig with one context, `ctx`, and answers its path. */
export function writeKubeconfig(
  folder: string,
  content: {
    readonly cluster: Readonly<Record<string, unknown>>;
    readonly args?: readonly string[];
    readonly command?: string;
    readonly exec?: Readonly<Record<string, unknown>>;
    readonly user?: Readonly<Record<string, unknown>>;
  },
): string {
  const { cluster, args = [], command = process.execPath, exec = {}, user } = content;
  const path = join(folder, "kubeconfig.json");
  mkdirSync(folder, { recursive: true });
  const plugin = {
    apiVersion: "client.authentication.k8s.io/v1beta1",
    command,
    args,
    env: [],
    provideClusterInfo: true,
    ...exec,
  };
  writeFileSync(
    path,
    JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      "current-context": "ctx",
      clusters: [{ name: "cluster", cluster }],
      contexts: [{ name: "ctx", context: { cluster: "cluster", user: "user" } }],
      users: [{ name: "user", user: user ?? { exec: plugin } }],
    }),
  );
  return path;
}
