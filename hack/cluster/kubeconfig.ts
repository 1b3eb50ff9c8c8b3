import { readFileSync, writeFileSync } from "node:fs";

import { stringify } from "yaml";

import type { KeyPairFiles } from "./pki.ts";

/** The user of a kubeconfig (v1 Config, `users[0].user`). */
export type KubeconfigUser =
  | { readonly name: string; readonly clientCertificate: KeyPairFiles }
  | { readonly name: string; readonly tokenFile: string };

const base64 = (path: string): string => readFileSync(path).toString("base64");

/** A kubeconfig as text. Certificates are embedded, a token stays in its file so that it can be renewed. */
export function kubeconfigText(
  serverUrl: string,
  caPath: string,
  user: KubeconfigUser,
  contextName = `${user.name}@kubernetes`,
): string {
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      { name: "kubernetes", cluster: { server: serverUrl, "certificate-authority-data": base64(caPath) } },
    ],
    users: [
      {
        name: user.name,
        user:
          "tokenFile" in user
            ? { tokenFile: user.tokenFile }
            : {
                "client-certificate-data": base64(user.clientCertificate.cert),
                "client-key-data": base64(user.clientCertificate.key),
              },
      },
    ],
    contexts: [{ name: contextName, context: { cluster: "kubernetes", user: user.name } }],
    "current-context": contextName,
  });
}

/** Writes a kubeconfig that only its owner can read. */
export function writeKubeconfig(path: string, serverUrl: string, caPath: string, user: KubeconfigUser): void {
  writeFileSync(path, kubeconfigText(serverUrl, caPath, user), { mode: 0o600 });
}
