import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureHelm } from "../../hack/cluster/binaries.ts";
import { startCluster } from "../../hack/cluster/cluster.ts";
import type { Cluster } from "../../hack/cluster/cluster.ts";
import { loadImage } from "../../hack/cluster/images.ts";
import { buildImage } from "../../hack/image/image.ts";
import { kubectl } from "../integration/harness/concierge.ts";
import { eventually } from "../integration/harness/eventually.ts";
import { workloadImage, writeWorkloadImage } from "./workload-image.ts";

const root = join(import.meta.dirname, "..", "..");
/** The server of this checkout. */
export const proxyImage = { repository: "localhost/lanyard-concierge", tag: "proxy" };
const nodeAddress = "10.88.0.1";
export const namespace = "concierge";
export const app = "lanyard-concierge";

interface Strategy {
  readonly type: string;
  readonly status: string;
  readonly message: string;
  readonly frontend?: {
    readonly impersonationProxyInfo?: {
      readonly endpoint: string;
      readonly certificateAuthorityData: string;
    };
  };
}

/** A real node with the chart, the proxy enabled behind a Service of type ClusterIP, and Pods to talk to in `work`. */
export interface ProxyCluster {
  readonly cluster: Cluster;
  /** For files of a test; gone after `stop`. */
  readonly folder: string;
  readonly endpoint: string;
  /** Base64 of PEM. */
  readonly caData: string;
  /** Of ada, who logged in through the proxy with a token, which is in `KUBECONFIG.token`. */
  readonly kubeconfig: string;
  stop(): Promise<void>;
}

/** `values` are for Helm's `--set`. */
export async function startProxyCluster(name: string, values: readonly string[] = []): Promise<ProxyCluster> {
  const folder = mkdtempSync(join(tmpdir(), "lanyard-proxy-"));
  const kubeconfig = join(folder, "ada.conf");
  const output = join(folder, "image.tar");
  await buildImage({ output, tag: `${proxyImage.repository}:${proxyImage.tag}` });
  const cluster = await startCluster({ name, tier: "node", folder: join(folder, "clusters") });
  const stop = async (): Promise<void> => {
    await cluster.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await loadImage(cluster, output);
    writeWorkloadImage(join(folder, "workload.tar"));
    await loadImage(cluster, join(folder, "workload.tar"));
    await kubectl(cluster, ["create", "namespace", namespace]);
    const installed = await cluster.exec([
      await ensureHelm(),
      "install",
      app,
      join(root, "charts", "lanyard-concierge"),
      `--namespace=${namespace}`,
      `--set=image.repository=${proxyImage.repository},image.tag=${proxyImage.tag},logLevel=debug`,
      "--set=impersonationProxy.mode=enabled,impersonationProxy.service.type=ClusterIP",
      ...values.map((value) => `--set=${value}`),
      "--wait",
      "--timeout=85s",
    ]);
    assert.equal(installed.code, 0, installed.stderr);
    await kubectl(cluster, ["apply", "--filename=-"], JSON.stringify(workload()));
    const info = await eventually("the proxy's strategy", async () => {
      const strategies = JSON.parse(
        await kubectl(cluster, [
          "get",
          "credentialissuers",
          "--output=jsonpath={.items[0].status.strategies}",
        ]),
      ) as Strategy[];
      return strategies.find(({ type, status }) => type === "ImpersonationProxy" && status === "Success")
        ?.frontend?.impersonationProxyInfo;
    });
    const login = await cluster.exec([
      process.execPath,
      join(import.meta.dirname, "user-kubeconfig.ts"),
      nodeAddress,
      info.endpoint,
      info.certificateAuthorityData,
      kubeconfig,
    ]);
    assert.equal(login.code, 0, login.stderr);
    await kubectl(cluster, [
      "wait",
      "--for=condition=Ready",
      "pod",
      "--all",
      "--namespace=work",
      "--timeout=80s",
    ]);
    return {
      cluster,
      folder,
      endpoint: info.endpoint,
      caData: info.certificateAuthorityData,
      kubeconfig,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function workload(): object {
  const container = { image: workloadImage, imagePullPolicy: "IfNotPresent" };
  const pod = (name: string, command: readonly string[], more: object = {}): object => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "work", labels: { app: name } },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [{ ...container, name: "main", command, ...more }],
    },
  });
  const role = (name: string, rules: readonly object[]): object => ({
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRole",
    metadata: { name },
    rules,
  });
  const binding = (name: string, clusterRole: string, user: string, inNamespace?: string): object => ({
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: inNamespace === undefined ? "ClusterRoleBinding" : "RoleBinding",
    metadata: { name, ...(inNamespace === undefined ? {} : { namespace: inNamespace }) },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: clusterRole },
    subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: user }],
  });
  return {
    apiVersion: "v1",
    kind: "List",
    items: [
      { apiVersion: "v1", kind: "Namespace", metadata: { name: "work" } },
      binding("ada", "admin", "ada", "work"),
      role("impersonate-bob", [
        { apiGroups: [""], resources: ["users"], resourceNames: ["bob"], verbs: ["impersonate"] },
        { apiGroups: ["authentication.k8s.io"], resources: ["uids"], verbs: ["impersonate"] },
      ]),
      binding("ada-as-bob", "impersonate-bob", "ada"),
      binding("bob", "view", "bob", "work"),
      pod("shell", ["sleep", "3600"]),
      pod("listener", ["sh", "-c", "while read line; do echo heard $line; done"], {
        stdin: true,
        stdinOnce: true,
      }),
      pod("ticker", ["sh", "-c", "i=0; while true; do echo tick $i; i=$((i+1)); sleep 1; done"]),
      pod("web", ["httpd", "-f", "-p", "8080", "-h", "/www"]),
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "web", namespace: "work" },
        spec: { selector: { app: "web" }, ports: [{ port: 80, targetPort: 8080 }] },
      },
    ],
  };
}
