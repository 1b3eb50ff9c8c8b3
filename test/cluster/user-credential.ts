import { readFileSync } from "node:fs";
import type { RequestOptions } from "node:https";

/** Whom a kubeconfig of `user-kubeconfig.ts` speaks to, and as whom, for `node:https`. */
export function userCredential(kubeconfig: string): {
  readonly server: string;
  readonly tls: RequestOptions;
} {
  const config = JSON.parse(readFileSync(kubeconfig, "utf8")) as {
    clusters: [{ cluster: { server: string; "certificate-authority-data": string } }];
    users: [{ user: { "client-certificate-data": string; "client-key-data": string } }];
  };
  const { cluster } = config.clusters[0];
  const { user } = config.users[0];
  const pem = (data: string): Buffer => Buffer.from(data, "base64");
  return {
    server: cluster.server,
    tls: {
      ca: pem(cluster["certificate-authority-data"]),
      cert: pem(user["client-certificate-data"]),
      key: pem(user["client-key-data"]),
    },
  };
}
