import { writeFileSync } from "node:fs";
import { join } from "node:path";

import type { KubernetesRelease } from "./binaries.ts";
import { clusterError } from "./errors.ts";
import { writeKubeconfig } from "./kubeconfig.ts";
import { clusterFolder, existingState } from "./layout.ts";
import type { Tier } from "./layout.ts";
import { insideNetwork } from "./network.ts";
import type { KeyPairFiles } from "./pki.ts";
import {
  endProcesses,
  forgetProcess,
  isAlive,
  processMark,
  recordedProcess,
  signalProcess,
  startDaemon,
} from "./processes.ts";
import { clusterEnvironment, runCommand } from "./run-command.ts";
import type { CommandResult } from "./run-command.ts";
import { waitReady } from "./readiness.ts";
import { removeCluster } from "./removal.ts";
import { startControlPlaneTier } from "./start-control-plane.ts";
import { startNodeTier } from "./start-node.ts";

/** How to start a cluster. */
export interface StartClusterOptions {
  /** A DNS label, unique among the clusters of this folder. */
  readonly name: string;
  /** Default `control-plane`. */
  readonly tier?: Tier;
  /** The Kubernetes of all its programs, kubectl included; default the one of every CI run. */
  readonly kubernetes?: KubernetesRelease;
  /** The folder of all clusters; default `$LANYARD_CLUSTERS` or the user's state folder. */
  readonly folder?: string;
  /** More flags for the kube-apiserver, after ours. */
  readonly apiServerArgs?: readonly string[];
  /** Receives a line about what takes long; default standard error. */
  readonly progress?: (line: string) => void;
}

/** A running cluster. All paths are absolute. */
export interface Cluster {
  readonly name: string;
  readonly tier: Tier;
  /** The folder that holds everything of this cluster. */
  readonly folder: string;
  /** Kubeconfig of `kubernetes-admin`, group `kubeadm:cluster-admins`. */
  readonly kubeconfig: string;
  /** Kubeconfig of `kubernetes-super-admin`, group `system:masters`. */
  readonly superAdminKubeconfig: string;
  /** The address in kube-public/cluster-info; for tier `node` only reachable inside the cluster's network. */
  readonly serverUrl: string;
  readonly ca: KeyPairFiles;
  readonly frontProxyCa: KeyPairFiles;
  /** The client certificate that the kube-apiserver shows to aggregated APIs. */
  readonly frontProxyClient: KeyPairFiles;
  /** For tier `control-plane` a /24 inside 127.0.0.0/8, so that every cluster IP is an address of this machine. */
  readonly serviceCidr: string;
  readonly ports: Readonly<Record<string, number>>;
  /** Runs kubectl as `kubernetes-admin`; `input` becomes its standard input. */
  kubectl(args: readonly string[], options?: { readonly input?: string }): Promise<CommandResult>;
  /** Runs any program in the cluster's network with KUBECONFIG set and the cluster's kubectl in PATH. */
  exec(command: readonly string[], options?: { readonly input?: string }): Promise<CommandResult>;
  /** Ends the kube-apiserver; etcd and its data stay. */
  stopApiServer(): Promise<void>;
  /** Starts it again on the same port and waits until it is ready. */
  startApiServer(): Promise<void>;
  /** Freezes etcd (SIGSTOP): its connections stay, and nobody gets an answer. */
  pauseEtcd(): void;
  /** Lets etcd go on (SIGCONT). */
  resumeEtcd(): void;
  /**
   * Writes a kubeconfig whose user is a ServiceAccount. The token, made as by `kubectl create token`, is in
   * `PATH.token`. `durationSeconds` is at least 600, default 3600.
   */
  serviceAccountKubeconfig(
    namespace: string,
    name: string,
    path: string,
    options?: { readonly durationSeconds?: number },
  ): Promise<void>;
  /** Ends the cluster and removes its folder. */
  stop(): Promise<void>;
}

/** Starts a cluster and waits until it is ready for use: for `node`, until the Node is Ready. */
export async function startCluster(options: StartClusterOptions): Promise<Cluster> {
  const folder = clusterFolder(options.name, options.folder);
  const progress = options.progress ?? ((line) => void process.stderr.write(`${line}\n`));
  const start = options.tier === "node" ? startNodeTier : startControlPlaneTier;
  await start({
    name: options.name,
    folder,
    progress,
    apiServerArgs: options.apiServerArgs ?? [],
    kubernetes: options.kubernetes ?? "ci",
  });
  return openCluster(options.name, options.folder);
}

/** Ends a cluster, whatever state it is in, and removes every trace of it; false when there was none. */
export function stopCluster(name: string, options: { readonly folder?: string } = {}): Promise<boolean> {
  return removeCluster(name, clusterFolder(name, options.folder));
}

/** A cluster that was started before, by this or another process. */
export function openCluster(name: string, clusters?: string): Cluster {
  const state = existingState(name, clusters);
  const folder = clusterFolder(name, clusters);
  const pki = (file: string): KeyPairFiles => ({
    cert: join(folder, "pki", `${file}.crt`),
    key: join(folder, "pki", `${file}.key`),
  });
  const kubeconfig = join(folder, "admin.conf");
  const run = (
    command: readonly string[],
    input: string | undefined,
    environment: Readonly<Record<string, string>>,
  ): Promise<CommandResult> =>
    runCommand(insideNetwork(folder, state.tier, command), {
      environment: { ...clusterEnvironment(folder), ...environment },
      ...(input === undefined ? {} : { input }),
    });
  // Marked, so that a kubectl that follows something ends with the cluster.
  const kubectl = (args: readonly string[], input?: string): Promise<CommandResult> =>
    run([join(folder, "bin", "kubectl"), ...args], input, { [processMark]: folder });
  const signalEtcd = (signal: NodeJS.Signals): void => {
    const record = recordedProcess(folder, "etcd");
    if (!record || !signalProcess(record, signal)) {
      throw clusterError("state", `cluster "${name}" has no running etcd`);
    }
  };
  return {
    name,
    tier: state.tier,
    folder,
    kubeconfig,
    superAdminKubeconfig: join(folder, "super-admin.conf"),
    serverUrl: state.serverUrl,
    ca: pki("ca"),
    frontProxyCa: pki("front-proxy-ca"),
    frontProxyClient: pki("front-proxy-client"),
    serviceCidr: state.serviceCidr,
    ports: state.ports,
    kubectl: (args, options = {}) => kubectl(args, options.input),
    exec: (command, options = {}) => run(command, options.input, {}),
    async stopApiServer() {
      const record = recordedProcess(folder, "kube-apiserver");
      if (record) await endProcesses([record], 5_000);
      forgetProcess(folder, "kube-apiserver");
    },
    async startApiServer() {
      const running = recordedProcess(folder, "kube-apiserver");
      if (running && isAlive(running)) return;
      const command = state.commands["kube-apiserver"];
      if (!command)
        throw clusterError("state", `cluster "${name}" has no command line of its kube-apiserver`);
      const record = startDaemon({ folder, name: "kube-apiserver", command, wrapped: state.tier === "node" });
      await waitReady({
        folder,
        what: "kube-apiserver",
        seconds: 60,
        needs: { "kube-apiserver": record },
        ready: async () => (await kubectl(["get", "--raw=/readyz", "--request-timeout=5s"])).code === 0,
      });
    },
    pauseEtcd: () => signalEtcd("SIGSTOP"),
    resumeEtcd: () => signalEtcd("SIGCONT"),
    async serviceAccountKubeconfig(namespace, account, path, { durationSeconds = 3600 } = {}) {
      const created = await kubectl([
        "create",
        "token",
        account,
        `--namespace=${namespace}`,
        `--duration=${durationSeconds}s`,
      ]);
      if (created.code !== 0) throw clusterError("token", created.stderr.trim());
      writeFileSync(`${path}.token`, created.stdout.trim(), { mode: 0o600 });
      writeKubeconfig(path, state.serverUrl, pki("ca").cert, {
        name: `system:serviceaccount:${namespace}:${account}`,
        tokenFile: `${path}.token`,
      });
    },
    async stop() {
      await removeCluster(name, folder);
    },
  };
}
