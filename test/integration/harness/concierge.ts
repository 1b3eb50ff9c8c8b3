import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { ensureHelm } from "../../../hack/cluster/binaries.ts";
import type { Cluster } from "../../../hack/cluster/cluster.ts";
import { type Balancer, startBalancer } from "./balancer.ts";
import { eventually } from "./eventually.ts";
import { type Answer, call, readText } from "./http.ts";

const root = join(import.meta.dirname, "..", "..", "..");
/** The entry point that the image runs. */
export const serverProgram = join(root, "src", "concierge", "main.ts");

/** One server process that stands for one of the Deployment's Pods. */
export interface Replica {
  readonly podName: string;
  readonly port: number;
  /** Where its impersonation proxy listens while the CredentialIssuer says so. */
  readonly proxyPort: number;
  readonly process: ChildProcess;
  /** Everything it wrote to stderr so far. */
  log(): string;
  /** `/readyz` of this process, straight. */
  readyz(query?: string): Promise<Answer>;
  /** Ends the process and waits for it; answers its exit code. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface InstallOptions {
  readonly replicas?: number;
  /** Merged into the configuration file that the chart rendered, top level keys replaced. */
  readonly configuration?: Readonly<Record<string, unknown>>;
  /** Further keys for one replica alone, over `configuration`. */
  readonly replicaConfiguration?: (index: number) => Readonly<Record<string, unknown>>;
  /** Chart values, as for `--set`. */
  readonly values?: readonly string[];
  /** False leaves the signer's Secret to the Concierge; the default fills it with the cluster's own CA. */
  readonly signWithClusterCa?: boolean;
  /**
   * Whom the balancer sends connections to: every running process (default), or, as a Service does, only those whose
   * readiness probe answers 200.
   */
  readonly endpoints?: "running" | "ready";
  /** Variables of the processes, read whenever one starts; there are none but PATH otherwise. */
  readonly environment?: Readonly<Record<string, string>>;
}

export interface Installation {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly app: string;
  readonly replicas: readonly Replica[];
  /** The only thing the servers have to show who they are. */
  readonly kubeconfig: string;
  /** Calls the kube-apiserver anonymously unless headers say otherwise. */
  api(path: string, options?: Partial<Parameters<typeof call>[0]>): Promise<Answer>;
  /** Starts one more process, in the place of the Pod with this index. */
  startReplica(index: number): Promise<Replica>;
  /** Ends all processes and removes what they left on disk; the cluster stays. */
  close(): Promise<void>;
}

const namespace = "concierge";
const app = "lanyard-concierge";

/**
 * Installs the chart and runs the server as local processes, each with its ServiceAccount's own token and nothing more
 * (the rules of contract 10.3 are the chart's). The controller manager makes Pods that no node ever runs; each process
 * takes the name of one.
 */
export async function installConcierge(
  cluster: Cluster,
  options: InstallOptions = {},
): Promise<Installation> {
  const { replicas: count = 1 } = options;
  const folder = mkdtempSync(join(tmpdir(), "lanyard-integration-"));
  const balancer = await startBalancer();
  const serverCa = readText(cluster.ca.cert);

  await kubectl(cluster, ["create", "namespace", namespace]);
  if (options.signWithClusterCa !== false) {
    await kubectl(cluster, [
      "create",
      "secret",
      "generic",
      `--namespace=${namespace}`,
      `${app}-impersonation-proxy-signer-ca-certificate`,
      `--from-file=caCertificate=${cluster.ca.cert}`,
      `--from-file=caCertificatePrivateKey=${cluster.ca.key}`,
    ]);
  }
  const helm = await ensureHelm();
  const installed = await cluster.exec([
    helm,
    "install",
    app,
    join(root, "charts", "lanyard-concierge"),
    `--namespace=${namespace}`,
    ...[
      `replicas=${count}`,
      "api.service.type=ExternalName",
      "api.service.externalName=localhost",
      `api.service.port=${balancer.port}`,
      "logLevel=debug",
      // The proxy's signer signs only while the proxy is supposed to run; here it needs no Service to be reached.
      "impersonationProxy.mode=enabled",
      "impersonationProxy.service.type=None",
      "impersonationProxy.externalEndpoint=localhost",
      ...(options.values ?? []),
    ].flatMap((value) => ["--set", value]),
  ]);
  if (installed.code !== 0) {
    throw new Error(`helm install failed: ${installed.stderr}`);
  }
  const pods = await eventually("the Deployment's Pods", async () => {
    const names = await kubectl(cluster, [
      "get",
      "pods",
      `--namespace=${namespace}`,
      "--selector=deployment.pinniped.dev=concierge",
      "--output=name",
    ]);
    const found = names
      .split("\n")
      .filter((name) => name !== "")
      .map((name) => name.replace("pod/", ""));
    return found.length >= count ? found.toSorted() : undefined;
  });
  const rendered: unknown = parse(
    await kubectl(cluster, [
      "get",
      "configmap",
      `--namespace=${namespace}`,
      `${app}-config`,
      '--output=go-template={{index .data "pinniped.yaml"}}',
    ]),
  );
  const kubeconfig = join(folder, "kubeconfig");
  await cluster.serviceAccountKubeconfig(namespace, app, kubeconfig);

  const running = new Map<number, Replica>();
  const announce = (): void => {
    if (options.endpoints !== "ready") {
      balancer.setBackends([...running.values()].map(({ port }) => port));
    }
  };
  const stopProbing = options.endpoints === "ready" ? followReadiness(running, balancer) : () => {};
  const startReplica = async (index: number): Promise<Replica> => {
    const podName = pods[index] ?? "";
    // Taken at the same time, so that they differ.
    const [port, proxyPort] = await Promise.all([freePort(), freePort()]);
    const own = join(folder, `replica-${index}`);
    mkdirSync(join(own, "podinfo"), { recursive: true });
    writeFileSync(join(own, "podinfo", "namespace"), namespace);
    writeFileSync(join(own, "podinfo", "name"), podName);
    writeFileSync(join(own, "podinfo", "labels"), `app=${JSON.stringify(app)}\n`);
    const configuration = {
      ...(rendered as object),
      aggregatedAPIServerPort: port,
      impersonationProxyServerPort: proxyPort,
      ...options.configuration,
      ...options.replicaConfiguration?.(index),
    };
    writeFileSync(join(own, "concierge.yaml"), stringify(configuration));
    const replica = spawnReplica({
      ...{ podName, port, proxyPort, folder: own, kubeconfig },
      environment: options.environment ?? {},
    });
    running.set(index, replica);
    replica.process.once("exit", () => {
      if (running.get(index) === replica) {
        running.delete(index);
        announce();
      }
    });
    announce();
    return replica;
  };
  const replicas: Replica[] = [];
  for (let index = 0; index < count; index++) {
    replicas.push(await startReplica(index));
  }
  return {
    cluster,
    namespace,
    app,
    replicas,
    kubeconfig,
    api: (path, more = {}) => call({ server: cluster.serverUrl, caPem: serverCa, path, ...more }),
    startReplica,
    close: async () => {
      stopProbing();
      await Promise.all([...running.values()].map((replica) => replica.end()));
      await balancer.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Plays kubelet and EndpointSlice controller: who fails its readiness probe gets no new connections. */
function followReadiness(running: ReadonlyMap<number, Replica>, balancer: Balancer): () => void {
  let stopped = false;
  const isReady = (replica: Replica): Promise<boolean> =>
    replica.readyz().then(
      ({ status }) => status === 200,
      () => false,
    );
  const look = async (): Promise<void> => {
    const replicas = [...running.values()];
    const ready = await Promise.all(replicas.map(isReady));
    if (!stopped) {
      balancer.setBackends(replicas.filter((_, index) => ready[index]).map(({ port }) => port));
      setTimeout(() => void look(), 250).unref();
    }
  };
  void look();
  return () => {
    stopped = true;
  };
}

/** Waits until every replica and both APIServices say that they can serve. */
export async function waitUntilServing(installation: Installation): Promise<void> {
  for (const replica of installation.replicas) {
    await eventually(`readiness of ${replica.podName}\n${tail(replica)}`, async () => {
      if (replica.process.exitCode !== null) {
        throw new Error(`the server exited with ${replica.process.exitCode}:\n${tail(replica)}`);
      }
      return (await replica.readyz()).status === 200;
    });
  }
  await apiServicesAvailable(installation);
}

/**
 * Waits until the API server passes requests on to what serves again. After an outage it looks for it only every 30 s, but at once
 * when endpoints change, as they do in a cluster whose Pods become ready; here a change of the APIServices stands for that.
 */
export async function waitUntilReachable({ cluster }: Pick<Installation, "cluster">): Promise<void> {
  await kubectl(cluster, ["annotate", "--overwrite", ...apiServices, `test.lanyard/endpoints=${Date.now()}`]);
  await apiServicesAvailable({ cluster });
}

async function apiServicesAvailable({ cluster }: Pick<Installation, "cluster">): Promise<void> {
  await kubectl(cluster, ["wait", "--for=condition=Available", "--timeout=60s", ...apiServices]);
}

const apiServices = [
  "apiservice/v1alpha1.login.concierge.pinniped.dev",
  "apiservice/v1alpha1.identity.concierge.pinniped.dev",
];

/** kubectl as the cluster's administrator; anything but success is an error that tells what kubectl said. */
export async function kubectl(cluster: Cluster, args: readonly string[], input?: string): Promise<string> {
  const result = await cluster.kubectl(args, input === undefined ? {} : { input });
  if (result.code !== 0) {
    throw new Error(`kubectl ${args.join(" ")} failed: ${result.stderr}`);
  }
  return result.stdout;
}

/** The last lines of a replica's log, for error messages. */
export function tail(replica: Replica): string {
  return replica.log().split("\n").slice(-25).join("\n");
}

function spawnReplica(options: {
  readonly podName: string;
  readonly port: number;
  readonly proxyPort: number;
  readonly folder: string;
  readonly kubeconfig: string;
  readonly environment: Readonly<Record<string, string>>;
}): Replica {
  const { podName, port, proxyPort, folder, kubeconfig, environment } = options;
  const child = spawn(
    process.execPath,
    [
      "--disable-sigusr1",
      serverProgram,
      `--config=${join(folder, "concierge.yaml")}`,
      `--downward-api-path=${join(folder, "podinfo")}`,
      `--kubeconfig=${kubeconfig}`,
    ],
    { env: { PATH: process.env["PATH"] ?? "", ...environment }, stdio: ["ignore", "ignore", "pipe"] },
  );
  const chunks: Buffer[] = [];
  child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
  const exited = new Promise<number | null>((resolve) => {
    child.once("exit", (code) => resolve(code));
  });
  return {
    podName,
    port,
    proxyPort,
    process: child,
    log: () => Buffer.concat(chunks).toString("utf8"),
    // A probe, as the kubelet's: it does not verify the certificate.
    readyz: (query = "") => probe(port, `/readyz${query}`),
    end: async (signal = "SIGTERM") => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill(signal);
      }
      return exited;
    },
  };
}

/** A health probe, as the kubelet makes it: straight at the process, without looking at its certificate. */
export async function probe(port: number, path: string): Promise<Answer> {
  const { request } = await import("node:https");
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: "127.0.0.1", port, path, rejectUnauthorized: false, agent: false, timeout: 5000 },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: Buffer.concat(chunks).toString("utf8"),
          }),
        );
      },
    );
    outgoing.on("timeout", () => outgoing.destroy(new Error("no answer within 5 s")));
    outgoing.on("error", reject);
    outgoing.end();
  });
}

/** A loopback port that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  return port;
}

/** A file's content as base64. */
export function base64File(path: string): string {
  return readFileSync(path).toString("base64");
}
