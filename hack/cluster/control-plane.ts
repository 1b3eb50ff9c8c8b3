import { join } from "node:path";

import type { Authority, KeyPairFiles } from "./pki.ts";
import { createAuthority, createServiceAccountKey, issueLeaf } from "./pki.ts";

/** Every file of a cluster's PKI, named as kubeadm names them. */
export interface ClusterPki {
  readonly folder: string;
  readonly ca: Authority;
  readonly frontProxyCa: Authority;
  readonly etcdCa: Authority;
  readonly etcd: KeyPairFiles;
  readonly apiServer: KeyPairFiles;
  readonly apiServerEtcdClient: KeyPairFiles;
  readonly apiServerKubeletClient: KeyPairFiles;
  readonly frontProxyClient: KeyPairFiles;
  readonly controllerManager: KeyPairFiles;
  readonly admin: KeyPairFiles;
  readonly superAdmin: KeyPairFiles;
  readonly serviceAccount: { readonly key: string; readonly publicKey: string };
}

/** Where the parts of a control plane listen. */
export interface ControlPlaneAddresses {
  /** The address that etcd and the controller manager listen on. */
  readonly host: string;
  /** The address that the kube-apiserver binds. */
  readonly apiServerBind: string;
  /** The address that the kube-apiserver tells others. */
  readonly advertise: string;
  readonly etcdClientPort: number;
  readonly etcdPeerPort: number;
  readonly apiServerPort: number;
  readonly controllerManagerPort: number;
  /** First three octets are the network: always a /24. */
  readonly serviceCidr: string;
}

const clusterDomain = "cluster.local";

/** Makes all keys and certificates of a cluster in `folder`. */
export async function createClusterPki(
  folder: string,
  addresses: ControlPlaneAddresses,
): Promise<ClusterPki> {
  const [ca, frontProxyCa, etcdCa] = await Promise.all([
    createAuthority(folder, "ca", "kubernetes"),
    createAuthority(folder, "front-proxy-ca", "front-proxy-ca"),
    createAuthority(folder, "etcd-ca", "etcd-ca"),
  ]);
  const client = (name: string, commonName: string, ...organizations: string[]): Promise<KeyPairFiles> =>
    issueLeaf(folder, ca, { name, commonName, organizations, usage: "client" });
  return {
    folder,
    ca,
    frontProxyCa,
    etcdCa,
    etcd: await issueLeaf(folder, etcdCa, {
      name: "etcd",
      commonName: "etcd",
      usage: "both",
      dnsNames: ["localhost"],
      addresses: ["127.0.0.1"],
    }),
    apiServer: await issueLeaf(folder, ca, {
      name: "apiserver",
      commonName: "kube-apiserver",
      usage: "server",
      dnsNames: [
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        `kubernetes.default.svc.${clusterDomain}`,
      ],
      addresses: [...new Set(["127.0.0.1", addresses.advertise, firstServiceAddress(addresses.serviceCidr)])],
    }),
    apiServerEtcdClient: await issueLeaf(folder, etcdCa, {
      name: "apiserver-etcd-client",
      commonName: "kube-apiserver-etcd-client",
      usage: "client",
    }),
    apiServerKubeletClient: await client(
      "apiserver-kubelet-client",
      "kube-apiserver-kubelet-client",
      "kubeadm:cluster-admins",
    ),
    frontProxyClient: await issueLeaf(folder, frontProxyCa, {
      name: "front-proxy-client",
      commonName: "front-proxy-client",
      usage: "client",
    }),
    controllerManager: await client("controller-manager", "system:kube-controller-manager"),
    admin: await client("admin", "kubernetes-admin", "kubeadm:cluster-admins"),
    superAdmin: await client("super-admin", "kubernetes-super-admin", "system:masters"),
    serviceAccount: await createServiceAccountKey(folder),
  };
}

/** The address of the Service `kubernetes`. */
export function firstServiceAddress(serviceCidr: string): string {
  return serviceCidr.replace(/\.0\/24$/, ".1");
}

/** etcd's command line. Its data is worth nothing after the cluster, so it need not reach the disk. */
export function etcdCommand(
  program: readonly string[],
  folder: string,
  pki: ClusterPki,
  at: ControlPlaneAddresses,
): string[] {
  const client = `https://${at.host}:${at.etcdClientPort}`;
  const peer = `https://${at.host}:${at.etcdPeerPort}`;
  return [
    ...program,
    "--name=etcd",
    `--data-dir=${join(folder, "etcd")}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=etcd=${peer}`,
    `--cert-file=${pki.etcd.cert}`,
    `--key-file=${pki.etcd.key}`,
    `--trusted-ca-file=${pki.etcdCa.cert}`,
    "--client-cert-auth=true",
    `--peer-cert-file=${pki.etcd.cert}`,
    `--peer-key-file=${pki.etcd.key}`,
    `--peer-trusted-ca-file=${pki.etcdCa.cert}`,
    "--peer-client-cert-auth=true",
    "--unsafe-no-fsync=true",
    "--log-level=warn",
  ];
}

/** The kube-apiserver's command line, with everything that the aggregation layer needs. */
export function apiServerCommand(
  program: readonly string[],
  pki: ClusterPki,
  at: ControlPlaneAddresses,
  extra: readonly string[],
): string[] {
  return [
    ...program,
    `--bind-address=${at.apiServerBind}`,
    `--advertise-address=${at.advertise}`,
    `--secure-port=${at.apiServerPort}`,
    `--tls-cert-file=${pki.apiServer.cert}`,
    `--tls-private-key-file=${pki.apiServer.key}`,
    `--client-ca-file=${pki.ca.cert}`,
    `--etcd-servers=https://${at.host}:${at.etcdClientPort}`,
    `--etcd-cafile=${pki.etcdCa.cert}`,
    `--etcd-certfile=${pki.apiServerEtcdClient.cert}`,
    `--etcd-keyfile=${pki.apiServerEtcdClient.key}`,
    `--service-cluster-ip-range=${at.serviceCidr}`,
    `--service-account-issuer=https://kubernetes.default.svc.${clusterDomain}`,
    `--service-account-key-file=${pki.serviceAccount.publicKey}`,
    `--service-account-signing-key-file=${pki.serviceAccount.key}`,
    `--requestheader-client-ca-file=${pki.frontProxyCa.cert}`,
    "--requestheader-allowed-names=front-proxy-client",
    "--requestheader-username-headers=X-Remote-User",
    "--requestheader-group-headers=X-Remote-Group",
    "--requestheader-extra-headers-prefix=X-Remote-Extra-",
    `--proxy-client-cert-file=${pki.frontProxyClient.cert}`,
    `--proxy-client-key-file=${pki.frontProxyClient.key}`,
    `--kubelet-client-certificate=${pki.apiServerKubeletClient.cert}`,
    `--kubelet-client-key=${pki.apiServerKubeletClient.key}`,
    "--authorization-mode=Node,RBAC",
    "--enable-admission-plugins=NodeRestriction",
    "--allow-privileged=true",
    ...extra,
  ];
}

/** The files of the PKI that the kube-controller-manager reads, where it sees them. */
export interface ControllerManagerFiles {
  readonly kubeconfig: string;
  readonly ca: KeyPairFiles;
  readonly frontProxyCa: Pick<KeyPairFiles, "cert">;
  readonly serviceAccount: { readonly key: string };
}

/** The kube-controller-manager's command line; it signs CSRs with the cluster's CA. */
export function controllerManagerCommand(
  program: readonly string[],
  files: ControllerManagerFiles,
  at: ControlPlaneAddresses,
): string[] {
  return [
    ...program,
    `--kubeconfig=${files.kubeconfig}`,
    `--authentication-kubeconfig=${files.kubeconfig}`,
    `--authorization-kubeconfig=${files.kubeconfig}`,
    `--bind-address=${at.host}`,
    `--secure-port=${at.controllerManagerPort}`,
    `--client-ca-file=${files.ca.cert}`,
    `--requestheader-client-ca-file=${files.frontProxyCa.cert}`,
    `--cluster-signing-cert-file=${files.ca.cert}`,
    `--cluster-signing-key-file=${files.ca.key}`,
    `--root-ca-file=${files.ca.cert}`,
    `--service-account-private-key-file=${files.serviceAccount.key}`,
    `--service-cluster-ip-range=${at.serviceCidr}`,
    "--use-service-account-credentials=true",
    "--leader-elect=false",
    // The default of 20 requests a second makes the first ServiceAccounts wait.
    "--kube-api-qps=200",
    "--kube-api-burst=400",
    // Its own certificate is made in memory; without this it would write one beside its working folder.
    "--cert-dir=",
  ];
}
