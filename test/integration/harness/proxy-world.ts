import type { KubernetesRelease } from "../../../hack/cluster/binaries.ts";
import { type Cluster, startCluster } from "../../../hack/cluster/cluster.ts";
import { startIssuer, type TestIssuer } from "../../oidc/issuer.ts";
import { applyAuthenticator, authenticatorInPhase, inlineBundle } from "./authenticators.ts";
import { type Installation, installConcierge, kubectl, tail, waitUntilServing } from "./concierge.ts";
import { eventually } from "./eventually.ts";
import {
  type AuthenticatorName,
  exchangeObject,
  exchangePath,
  type IssuedCertificate,
  issuedCertificate,
} from "./exchange.ts";
import type { Answer } from "./http.ts";
import { type ProxyClient, proxyAt } from "./proxy.ts";

const clientId = "proxy-test";
export const companyAuthenticator: AuthenticatorName = { kind: "JWTAuthenticator", name: "company" };

/** A cluster with the Concierge in it whose certificates only the impersonation proxy believes. */
export interface ProxyWorld {
  readonly cluster: Cluster;
  readonly installation: Installation;
  readonly issuer: TestIssuer;
  /** One per replica. */
  readonly proxies: readonly ProxyClient[];
  /** The first of them. */
  readonly proxy: ProxyClient;
  /** An ID token of somebody, good for an hour; every one differs from the others. */
  idToken(username: string, groups?: readonly string[]): Promise<string>;
  /** An exchange through the kube-apiserver. */
  postStraight(token: string): Promise<Answer>;
  /** An exchange through a proxy, anonymous, as a login on a hosted cluster is. */
  postThroughProxy(token: string, proxy?: ProxyClient): Promise<Answer>;
  /** A certificate of the proxy's signer. */
  login(username: string, groups?: readonly string[]): Promise<IssuedCertificate>;
  /** What each replica wrote last. */
  logs(): string;
  stop(): Promise<void>;
}

export interface ProxyWorldOptions {
  readonly name: string;
  readonly replicas?: number;
  readonly kubernetes?: KubernetesRelease;
  /** Chart values, as for `--set`. */
  readonly values?: readonly string[];
  readonly apiServerArgs?: readonly string[];
  readonly configuration?: Readonly<Record<string, unknown>>;
  /** Further keys for one replica alone. */
  readonly replicaConfiguration?: (index: number) => Readonly<Record<string, unknown>>;
}

export async function startProxyWorld(options: ProxyWorldOptions): Promise<ProxyWorld> {
  const undo: (() => Promise<unknown>)[] = [];
  const stop = async (): Promise<void> => {
    for (const step of undo.splice(0).toReversed()) {
      await step();
    }
  };
  try {
    return await start(options, undo, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(
  options: ProxyWorldOptions,
  undo: (() => Promise<unknown>)[],
  stop: () => Promise<void>,
): Promise<ProxyWorld> {
  const { name, replicas = 1, kubernetes = "ci", values = [], apiServerArgs = [] } = options;
  const { configuration = {}, replicaConfiguration } = options;
  const issuer = await startIssuer({ clientId, users: [] });
  undo.push(() => issuer.stop());
  const cluster = await startCluster({
    name: `${name}-${process.pid}`,
    kubernetes,
    apiServerArgs,
    progress: () => {},
  });
  undo.push(() => cluster.stop());
  const installation = await installConcierge(cluster, {
    replicas,
    values,
    signWithClusterCa: false,
    configuration: {
      audit: { logUsernamesAndGroups: "enabled", proxiedRequests: "enabled" },
      // Only the leader makes the keys, and the second replica is to take part soon.
      leaderElection: { leaseDurationSeconds: 15, renewDeadlineSeconds: 10, retryPeriodSeconds: 2 },
      ...configuration,
    },
    ...(replicaConfiguration === undefined ? {} : { replicaConfiguration }),
  });
  undo.push(() => installation.close());
  await waitUntilServing(installation);
  await applyAuthenticator(cluster, companyAuthenticator, {
    issuer: issuer.issuerUrl,
    audience: clientId,
    tls: inlineBundle(issuer.caPem),
  });
  await authenticatorInPhase(cluster, companyAuthenticator, "Ready");
  const proxies = await Promise.all(installation.replicas.map((replica) => proxyAt(installation, replica)));
  const [proxy] = proxies;
  if (proxy === undefined) {
    throw new Error("there is no replica");
  }
  let tokens = 0;
  const body = (token: string): string => JSON.stringify(exchangeObject(token, companyAuthenticator));
  const world: ProxyWorld = {
    cluster,
    installation,
    issuer,
    proxies,
    proxy,
    idToken: (username, groups = []) =>
      issuer.signToken({
        sub: username,
        username,
        groups,
        jti: String(tokens++),
        exp: Math.floor(Date.now() / 1000) + 3600,
      }),
    postStraight: (token) => installation.api(exchangePath, { body: body(token) }),
    postThroughProxy: (token, through = proxy) => through.call(exchangePath, { body: body(token) }),
    login: async (username, groups) =>
      issuedCertificate(await world.postStraight(await world.idToken(username, groups))),
    logs: () => installation.replicas.map(tail).join("\n"),
    stop,
  };
  for (const replica of proxies) {
    await eventually(`a first exchange at ${replica.replica.podName}\n${world.logs()}`, async () =>
      issuedCertificate(await world.postThroughProxy(await world.idToken("nobody"), replica)),
    );
  }
  return world;
}

/** Lets somebody do something in the whole cluster, by a ClusterRole and its binding of that name. */
export async function grant(
  cluster: Cluster,
  name: string,
  subject: { readonly kind: "User" | "Group"; readonly name: string },
  rules: readonly object[],
): Promise<void> {
  const apiVersion = "rbac.authorization.k8s.io/v1";
  const objects = [
    { apiVersion, kind: "ClusterRole", metadata: { name }, rules },
    {
      apiVersion,
      kind: "ClusterRoleBinding",
      metadata: { name },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
      subjects: [{ ...subject, apiGroup: "rbac.authorization.k8s.io" }],
    },
  ];
  await kubectl(
    cluster,
    ["apply", "--filename=-"],
    JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }),
  );
}

/** What a plain user of these tests may do. */
export const readConfigMaps = [
  { apiGroups: [""], resources: ["configmaps"], verbs: ["get", "list", "watch", "create"] },
];
