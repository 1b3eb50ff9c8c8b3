import { readdirSync, readlinkSync } from "node:fs";
import type { KubernetesClient } from "../../../src/kube/kubernetes-client.ts";
import type { Installation, Replica } from "./concierge.ts";
import { call, readText } from "./http.ts";
import { publishedBundles } from "./served-certificate.ts";

/** How many sockets a process has open, listening ones included (Linux `/proc`). */
export function openSockets(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).filter((descriptor) => {
    try {
      return readlinkSync(`${folder}/${descriptor}`).startsWith("socket:");
    } catch {
      // Closed since the folder was read.
      return false;
    }
  }).length;
}

/** How many timers keep a replica's event loop alive, by its own `/metrics`, asked with the administrator's certificate. */
export async function activeTimers(
  installation: Installation,
  client: KubernetesClient,
  replica: Replica,
): Promise<number> {
  const kubeconfig = readText(installation.cluster.superAdminKubeconfig);
  const entry = (key: string): string => {
    const value = new RegExp(`${key}: *"?([A-Za-z0-9+/=]+)`).exec(kubeconfig)?.[1] ?? "";
    return Buffer.from(value, "base64").toString("utf8");
  };
  const [caPem = ""] = await publishedBundles(client);
  const { status, text } = await call({
    server: `https://127.0.0.1:${replica.port}`,
    serverName: `${installation.app}-api.${installation.namespace}.svc`,
    path: "/metrics",
    caPem,
    caller: {
      certificatePem: entry("client-certificate-data"),
      privateKeyPem: entry("client-key-data"),
    },
  });
  const timers = /^nodejs_active_resources\{type="Timeout"\} (\d+)$/m.exec(text)?.[1];
  if (status !== 200 || timers === undefined) {
    throw new Error(`/metrics answered ${status}: ${text.slice(0, 300)}`);
  }
  return Number(timers);
}
