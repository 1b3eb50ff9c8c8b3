import { join } from "node:path";

import { stringify } from "yaml";

import { podCgroup } from "./cgroups.ts";
import { nodeNetwork } from "./network.ts";

/** The image of every Pod's sandbox. */
export const pauseImage = "localhost/pause:lanyard";
/** The image of the static Pod. */
export const controllerManagerImage = "localhost/kube-controller-manager:local";
/** The one Node's name. */
export const nodeName = "lanyard-node";

/** containerd's configuration, version 2. Its sockets and state are in the node's own /run. */
export function containerdConfig(folder: string, cniPlugins: string): string {
  return `version = 2
root = "${join(folder, "containerd")}"
state = "/run/containerd"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.internal.v1.opt",
]

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  # Without this, runc fails on machines that do not permit a lower OOM score.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${cniPlugins}"
    conf_dir = "${join(folder, "cni")}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
`;
}

/**
 * The Pod network: a routed point-to-point link per Pod. With a bridge, answers between two Pods would pass by
 * kube-proxy's rules where the kernel does not filter bridged packets.
 */
export function cniConfig(folder: string): string {
  return JSON.stringify({
    cniVersion: "0.4.0",
    name: "pods",
    plugins: [
      {
        type: "ptp",
        ipMasq: false,
        ipam: {
          type: "host-local",
          dataDir: join(folder, "cni-addresses"),
          ranges: [[{ subnet: nodeNetwork.podCidr }]],
          routes: [{ dst: "0.0.0.0/0" }],
        },
      },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  });
}

/** KubeletConfiguration (kubelet.config.k8s.io/v1beta1). */
export function kubeletConfig(folder: string): string {
  const pki = (file: string): string => join(folder, "pki", file);
  return stringify({
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    address: nodeNetwork.nodeAddress,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: pki("ca.crt") },
    },
    authorization: { mode: "Webhook" },
    cgroupDriver: "cgroupfs",
    cgroupRoot: podCgroup(folder),
    clusterDomain: "cluster.local",
    containerRuntimeEndpoint: "unix:///run/containerd/containerd.sock",
    enforceNodeAllocatable: [],
    // A developer's full disk must not evict Pods or drop images that cannot be pulled again.
    evictionHard: {
      "memory.available": "0%",
      "nodefs.available": "0%",
      "nodefs.inodesFree": "0%",
      "imagefs.available": "0%",
      "imagefs.inodesFree": "0%",
      "pid.available": "0%",
    },
    failCgroupV1: false,
    failSwapOn: false,
    imageGCHighThresholdPercent: 100,
    imageMaximumGCAge: "0s",
    localStorageCapacityIsolation: false,
    // The settings it would change belong to the whole machine.
    protectKernelDefaults: true,
    resolvConf: join(folder, "resolv.conf"),
    rotateCertificates: false,
    staticPodPath: join(folder, "manifests"),
    syncFrequency: "10s",
    tlsCertFile: pki("kubelet-server.crt"),
    tlsPrivateKeyFile: pki("kubelet-server.key"),
    volumePluginDir: join(folder, "kubelet", "volume-plugins"),
  });
}

/** KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1). */
export function kubeProxyConfig(folder: string): string {
  return stringify({
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    mode: "nftables",
    clientConnection: { kubeconfig: join(folder, "kube-proxy.conf") },
    clusterCIDR: nodeNetwork.podCidr,
    // Zero leaves the machine's limits alone.
    conntrack: { maxPerCore: 0, min: 0 },
    hostnameOverride: nodeName,
    bindAddress: nodeNetwork.nodeAddress,
    healthzBindAddress: "127.0.0.1:10256",
    metricsBindAddress: "127.0.0.1:10249",
  });
}

/** kube-controller-manager as kubeadm runs it: a static Pod that sees the PKI folder at /etc/kubernetes/pki. */
export function controllerManagerPod(folder: string, command: readonly string[]): string {
  const hostPaths = [
    { name: "k8s-certs", path: join(folder, "pki"), mountPath: "/etc/kubernetes/pki", type: "Directory" },
    {
      name: "kubeconfig",
      path: join(folder, "controller-manager.conf"),
      mountPath: "/etc/kubernetes/controller-manager.conf",
      type: "File",
    },
  ];
  const probe = { httpGet: { host: "127.0.0.1", path: "/healthz", port: 10257, scheme: "HTTPS" } };
  return stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: "kube-controller-manager",
      namespace: "kube-system",
      labels: { component: "kube-controller-manager", tier: "control-plane" },
    },
    spec: {
      hostNetwork: true,
      priorityClassName: "system-node-critical",
      securityContext: { seccompProfile: { type: "RuntimeDefault" } },
      containers: [
        {
          name: "kube-controller-manager",
          image: controllerManagerImage,
          imagePullPolicy: "IfNotPresent",
          command,
          livenessProbe: {
            ...probe,
            initialDelaySeconds: 10,
            periodSeconds: 10,
            failureThreshold: 8,
            timeoutSeconds: 15,
          },
          resources: { requests: { cpu: "100m" } },
          volumeMounts: hostPaths.map(({ name, mountPath }) => ({ name, mountPath, readOnly: true })),
        },
      ],
      volumes: hostPaths.map(({ name, path, type }) => ({ name, hostPath: { path, type } })),
    },
  });
}
