import { readFile } from "node:fs/promises";
import { decodeBase64 } from "./ca-bundle.ts";
import { fileErrorText } from "./file-error.ts";
import { textIn, type UnknownRecord } from "./unknown-value.ts";
import { failure } from "./visible-text.ts";

/**
 * The PEM certificates that a cluster entry trusts: its data, else its file; empty: the system's roots.
 *
 * @throws CommandError `cli.kubeconfig-cluster`, text `could not configure Kubernetes client: …`
 */
export async function clusterCaBundle(cluster: UnknownRecord): Promise<string> {
  const data = textIn(cluster, "certificate-authority-data");
  if (data !== "") {
    const decoded = decodeBase64(data);
    if ("error" in decoded) {
      throw refused(`certificate-authority-data is not base64: ${decoded.error}`);
    }
    return decoded.text;
  }
  const path = textIn(cluster, "certificate-authority");
  return path === ""
    ? ""
    : await readFile(path, "utf8").catch((error: unknown) => {
        throw refused(`unable to load root certificates: ${fileErrorText("open", path, error)}`, error);
      });
}

/** How a cluster entry is connected to, without credentials. */
export function clusterConnection(
  cluster: UnknownRecord,
  caBundle: string,
): {
  readonly caPem?: string;
  readonly serverName?: string;
  readonly proxyUrl?: string;
  readonly insecureSkipTlsVerify?: boolean;
} {
  const serverName = textIn(cluster, "tls-server-name");
  const proxyUrl = textIn(cluster, "proxy-url");
  return {
    ...(caBundle === "" ? {} : { caPem: caBundle }),
    ...(serverName === "" ? {} : { serverName }),
    ...(proxyUrl === "" ? {} : { proxyUrl }),
    ...(cluster["insecure-skip-tls-verify"] === true ? { insecureSkipTlsVerify: true } : {}),
  };
}

/**
 * The base URL of a cluster's API, without a slash at its end.
 *
 * @throws CommandError `cli.kubeconfig-cluster`
 */
export function clusterServer(cluster: UnknownRecord): string {
  const server = textIn(cluster, "server");
  const url = URL.parse(server.includes("://") ? server : `http://${server}`);
  if (url === null || server === "" || !["http:", "https:"].includes(url.protocol)) {
    throw refused(`host must be a URL or a host:port pair: ${JSON.stringify(server)}`);
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

function refused(why: string, cause?: unknown): Error {
  return failure("cli.kubeconfig-cluster", `could not configure Kubernetes client: ${why}`, cause);
}
