import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { ensureKubernetes, ensurePause } from "./binaries.ts";
import { findProgram } from "./go-program.ts";
import { bootstrapObjects } from "./bootstrap.ts";
import { createPodCgroup } from "./cgroups.ts";
import {
  apiServerCommand,
  controllerManagerCommand,
  createClusterPki,
  etcdCommand,
} from "./control-plane.ts";
import type { ClusterPki, ControlPlaneAddresses } from "./control-plane.ts";
import { clusterError } from "./errors.ts";
import { loadNodeImages } from "./images.ts";
import { writeKubeconfig } from "./kubeconfig.ts";
import { writeState } from "./layout.ts";
import type { ClusterState } from "./layout.ts";
import { createNamespaces, insideNetwork, insideNode, nodeNetwork } from "./network.ts";
import {
  cniConfig,
  containerdConfig,
  controllerManagerPod,
  kubeProxyConfig,
  kubeletConfig,
  nodeName,
} from "./node-config.ts";
import { assertNodeMachine, cniPluginFolder } from "./node-machine.ts";
import { issueLeaf } from "./pki.ts";
import { processMark, startDaemon } from "./processes.ts";
import type { ProcessRecord } from "./processes.ts";
import { waitReady } from "./readiness.ts";
import { clusterEnvironment, runCommand } from "./run-command.ts";
import { assertNew, endOnFailure, linkPrograms, withClusterLock, writeKubeconfigs } from "./start.ts";
import type { StartOptions } from "./start.ts";

const { nodeAddress, serviceCidr } = nodeNetwork;
const at: ControlPlaneAddresses = {
  host: "127.0.0.1",
  // All of the namespace's addresses, so that kubeconfigs can name its loopback: used outside by mistake, such a
  // kubeconfig reaches nothing, while 10.88.0.1 would be somebody else.
  apiServerBind: "0.0.0.0",
  advertise: nodeAddress,
  etcdClientPort: 2379,
  etcdPeerPort: 2380,
  apiServerPort: 6443,
  controllerManagerPort: 10257,
  serviceCidr,
};

/** A Node with containerd, kubelet and kube-proxy, and its control plane, in namespaces of their own. */
export async function startNodeTier(options: StartOptions): Promise<void> {
  const { name, folder } = options;
  assertNodeMachine(folder);
  await withClusterLock(name, folder, async () => {
    assertNew(name, folder);
    const kubernetes = await ensureKubernetes(options.progress, options.kubernetes);
    const pause = await ensurePause(options.progress);
    const programs = ["etcd", "kube-apiserver", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"];
    await linkPrograms(folder, programs, options, () => Promise.resolve(kubernetes));
    await endOnFailure(folder, () => start(options, { kubernetes, pause }));
  });
}

async function start(
  options: StartOptions,
  programs: { readonly kubernetes: string; readonly pause: string },
): Promise<void> {
  const { folder } = options;
  const serverUrl = `https://${nodeAddress}:${at.apiServerPort}`;
  const starting: ClusterState = {
    name: options.name,
    tier: "node",
    phase: "starting",
    serverUrl,
    ports: { "kube-apiserver": at.apiServerPort, etcd: at.etcdClientPort, kubelet: 10250 },
    serviceCidr,
    commands: {},
  };
  writeState(folder, starting);
  createPodCgroup(folder);
  createNamespaces(folder, programs.pause);
  const pkiFolder = join(folder, "pki");
  mkdirSync(pkiFolder, { mode: 0o700 });
  const pki = await createClusterPki(pkiFolder, at);
  writeKubeconfigs(folder, `https://127.0.0.1:${at.apiServerPort}`, pki);
  await writeNodeFiles(folder, pki);

  const commands = nodeCommands(options, pki);
  const run = (component: keyof typeof commands): ProcessRecord =>
    startDaemon({ folder, name: component, command: commands[component], wrapped: true });
  const needs: Record<string, ProcessRecord> = {
    etcd: run("etcd"),
    "kube-apiserver": run("kube-apiserver"),
    containerd: run("containerd"),
  };
  const wait = (what: string, ready: () => Promise<boolean>): Promise<void> =>
    waitReady({ folder, what, seconds: 120, needs, ready });
  await wait("containerd", async () => (await inNode(folder, ["ctr", "version"])) === 0);
  await loadNodeImages(folder, programs);
  await wait("kube-apiserver", async () => (await kubectl(folder, ["get", "--raw=/readyz"])).code === 0);
  const items = bootstrapObjects({ serverUrl, caPath: pki.ca.cert }).map(({ object }) => object);
  const applied = await kubectl(
    folder,
    ["apply", "--server-side", "--filename=-"],
    JSON.stringify({ apiVersion: "v1", kind: "List", items }),
  );
  if (applied.code !== 0) throw clusterError("bootstrap", applied.stderr.trim());
  needs["kubelet"] = run("kubelet");
  needs["kube-scheduler"] = run("kube-scheduler");
  needs["kube-proxy"] = run("kube-proxy");
  await wait("the Node", async () => {
    const got = await kubectl(folder, [
      "get",
      "node",
      nodeName,
      '--output=jsonpath={.status.conditions[?(@.type=="Ready")].status}',
    ]);
    return got.stdout === "True";
  });
  // The kubelet may not set this label itself.
  const labelled = await kubectl(folder, [
    "label",
    "node",
    nodeName,
    "node-role.kubernetes.io/control-plane=",
  ]);
  if (labelled.code !== 0) throw clusterError("bootstrap", labelled.stderr.trim());
  await wait("the ServiceAccount default/default", async () => {
    const got = await kubectl(folder, ["get", "serviceaccount", "default", "--namespace=default"]);
    return got.code === 0;
  });
  writeState(folder, { ...starting, phase: "ready", commands });
}

function nodeCommands(options: StartOptions, pki: ClusterPki) {
  const { folder } = options;
  const program = (file: string): string[] => [...insideNode(folder, [join(folder, "bin", file)])];
  return {
    etcd: etcdCommand(program("etcd"), folder, pki, at),
    "kube-apiserver": apiServerCommand(program("kube-apiserver"), pki, at, [
      "--enable-aggregator-routing=true",
      "--kubelet-preferred-address-types=InternalIP",
      `--kubelet-certificate-authority=${pki.ca.cert}`,
      ...options.apiServerArgs,
    ]),
    "kube-scheduler": [
      ...program("kube-scheduler"),
      `--kubeconfig=${join(folder, "scheduler.conf")}`,
      `--authentication-kubeconfig=${join(folder, "scheduler.conf")}`,
      `--authorization-kubeconfig=${join(folder, "scheduler.conf")}`,
      "--bind-address=127.0.0.1",
      "--leader-elect=false",
    ],
    containerd: [
      ...insideNode(folder, [
        findProgram("containerd") ?? "containerd",
        `--config=${join(folder, "containerd.toml")}`,
      ]),
    ],
    kubelet: [
      ...program("kubelet"),
      `--config=${join(folder, "kubelet.yaml")}`,
      `--kubeconfig=${join(folder, "kubelet.conf")}`,
      `--root-dir=${join(folder, "kubelet")}`,
      `--cert-dir=${join(folder, "kubelet", "pki")}`,
      `--node-ip=${nodeAddress}`,
      `--hostname-override=${nodeName}`,
    ],
    "kube-proxy": [...program("kube-proxy"), `--config=${join(folder, "kube-proxy.yaml")}`],
  } as const;
}

async function writeNodeFiles(folder: string, pki: ClusterPki): Promise<void> {
  await issueLeaf(pki.folder, pki.ca, {
    name: "kubelet-server",
    commonName: `system:node:${nodeName}`,
    organizations: ["system:nodes"],
    usage: "server",
    dnsNames: [nodeName],
    addresses: [nodeAddress],
  });
  const client = async (name: string, commonName: string, organizations: readonly string[] = []) => {
    const clientCertificate = await issueLeaf(pki.folder, pki.ca, {
      name,
      commonName,
      organizations,
      usage: "client",
    });
    writeKubeconfig(join(folder, `${name}.conf`), `https://127.0.0.1:${at.apiServerPort}`, pki.ca.cert, {
      name: commonName,
      clientCertificate,
    });
  };
  await client("kubelet", `system:node:${nodeName}`, ["system:nodes"]);
  await client("kube-proxy", "system:kube-proxy");
  await client("scheduler", "system:kube-scheduler");
  const cniPlugins = cniPluginFolder() ?? "/usr/lib/cni";
  const inPod = (file: string): string => join("/etc/kubernetes/pki", file);
  const controllerManager = controllerManagerCommand(
    ["kube-controller-manager"],
    {
      kubeconfig: "/etc/kubernetes/controller-manager.conf",
      ca: { cert: inPod("ca.crt"), key: inPod("ca.key") },
      frontProxyCa: { cert: inPod("front-proxy-ca.crt") },
      serviceAccount: { key: inPod("sa.key") },
    },
    at,
  );
  const files: Record<string, string> = {
    "containerd.toml": containerdConfig(folder, cniPlugins),
    "cni/10-pods.conflist": cniConfig(folder),
    "kubelet.yaml": kubeletConfig(folder),
    "kube-proxy.yaml": kubeProxyConfig(folder),
    "resolv.conf": "",
    "manifests/kube-controller-manager.yaml": controllerManagerPod(folder, controllerManager),
  };
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    writeFileSync(join(folder, file), text, { mode: 0o600 });
  }
}

async function inNode(folder: string, command: readonly string[]): Promise<number> {
  return (await runCommand(insideNode(folder, command))).code;
}

function kubectl(folder: string, args: readonly string[], input = "") {
  const program = [
    join(folder, "bin", "kubectl"),
    `--kubeconfig=${join(folder, "super-admin.conf")}`,
    ...args,
  ];
  return runCommand(insideNetwork(folder, "node", program), {
    environment: { ...clusterEnvironment(folder), [processMark]: folder },
    input,
  });
}
