import { readFileSync } from "node:fs";
import { startCluster } from "../../hack/cluster/cluster.ts";
import type { KeyPair } from "../../src/concierge/state/concierge-state.ts";
import { createClientCertificateIssuer } from "../../src/pki/client-certificate.ts";
import type { Address } from "./proxy-bench.ts";

export const SMALL_OBJECT = "/api/v1/namespaces/bench-small/configmaps/bench";
export const WATCH_SMALL = "/api/v1/namespaces/bench-small/configmaps?watch=true";
/** 1.2 MB of objects as clusters hold them: 1.2 KB each. */
export const BIG_LIST = "/api/v1/namespaces/bench-list/configmaps";
/** 1.2 MB that the kube-apiserver hardly has to work for: one long text in each object. */
export const OPAQUE_LIST = "/api/v1/namespaces/bench-opaque/configmaps";
const LIST = { items: 1_000, textBytes: 825 };
const OPAQUE = { items: 60, textBytes: 20_000 };

export interface BenchCluster {
  readonly address: Address;
  /** A user of the cluster's CA who may read all ConfigMaps, at the proxy and straight at the kube-apiserver. */
  readonly client: KeyPair;
  /** The answer to `SMALL_OBJECT`. */
  readonly object: string;
  stop(): Promise<unknown>;
}

/** A real kube-apiserver with what the benches read, and a ServiceAccount that may act as anybody. */
export async function startBenchCluster(validity: {
  readonly notBefore: Date;
  readonly notAfter: Date;
}): Promise<BenchCluster> {
  const cluster = await startCluster({ name: `bench-${process.pid}`, progress: () => {} });
  try {
    const kubectl = async (args: readonly string[], input?: string): Promise<string> => {
      const { code, stdout, stderr } = await cluster.kubectl(args, input === undefined ? {} : { input });
      if (code !== 0) {
        throw new Error(`kubectl ${args.join(" ")}: ${stderr.trim()}`);
      }
      return stdout;
    };
    await kubectl(
      ["create", "--filename=-"],
      JSON.stringify({ apiVersion: "v1", kind: "List", items: objects() }),
    );
    const token = await kubectl(["create", "token", "proxy", "--namespace=bench-small"]);
    const [certificatePem, privateKeyPem] = [cluster.ca.cert, cluster.ca.key].map((path) =>
      readFileSync(path, "utf8"),
    ) as [string, string];
    const issuer = createClientCertificateIssuer({ certificatePem, privateKeyPem });
    const issued = await issuer.issue({
      username: "alice@example.com",
      groups: ["developers"],
      ...validity,
    });
    const { hostname, port } = new URL(cluster.serverUrl);
    return {
      address: { host: hostname, port: Number(port), caPem: certificatePem, token: token.trim() },
      client: { certificatePem: issued.certificatePem, privateKeyPem: issued.privateKeyPem ?? "" },
      object: await kubectl(["get", `--raw=${SMALL_OBJECT}`]),
      stop: () => cluster.stop(),
    };
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

function objects(): readonly object[] {
  const namespace = (name: string): object => ({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
  const configMap = (namespace: string, name: string, length: number): object => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { namespace, name },
    data: { text: "x".repeat(length) },
  });
  const configMaps = (
    of: string,
    { items, textBytes }: { readonly items: number; readonly textBytes: number },
  ): readonly object[] =>
    Array.from({ length: items }, (_, index) => configMap(of, `item-${index}`, textBytes));
  const rbac = "rbac.authorization.k8s.io";
  const binding = (role: string, subject: object): object => ({
    apiVersion: `${rbac}/v1`,
    kind: "ClusterRoleBinding",
    metadata: { name: `bench-${role}` },
    roleRef: { apiGroup: rbac, kind: "ClusterRole", name: role },
    subjects: [subject],
  });
  return [
    namespace("bench-small"),
    namespace("bench-list"),
    namespace("bench-opaque"),
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { namespace: "bench-small", name: "proxy" } },
    binding("cluster-admin", { kind: "ServiceAccount", namespace: "bench-small", name: "proxy" }),
    binding("view", { apiGroup: rbac, kind: "Group", name: "developers" }),
    configMap("bench-small", "bench", 1_000),
    ...configMaps("bench-list", LIST),
    ...configMaps("bench-opaque", OPAQUE),
  ];
}
