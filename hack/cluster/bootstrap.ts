import { readFileSync } from "node:fs";

import { stringify } from "yaml";

const rbac = "/apis/rbac.authorization.k8s.io/v1";
const apiGroup = "rbac.authorization.k8s.io";

/** An object and the collection it is created in. */
export interface BootstrapObject {
  readonly path: string;
  readonly object: object;
}

/**
 * What kubeadm adds to a new cluster and others rely on: the binding that makes `kubernetes-admin` an administrator,
 * and the ConfigMap kube-public/cluster-info that anyone may read.
 */
export function bootstrapObjects(options: {
  readonly serverUrl: string;
  readonly caPath: string;
}): BootstrapObject[] {
  const name = "kubeadm:bootstrap-signer-clusterinfo";
  const metadata = { name, namespace: "kube-public" };
  const kubeconfig = stringify({
    apiVersion: "v1",
    kind: "Config",
    preferences: {},
    clusters: [
      {
        name: "",
        cluster: {
          "certificate-authority-data": readFileSync(options.caPath).toString("base64"),
          server: options.serverUrl,
        },
      },
    ],
    contexts: null,
    users: null,
    "current-context": "",
  });
  return [
    {
      path: `${rbac}/clusterrolebindings`,
      object: {
        apiVersion: `${apiGroup}/v1`,
        kind: "ClusterRoleBinding",
        metadata: { name: "kubeadm:cluster-admins" },
        roleRef: { apiGroup, kind: "ClusterRole", name: "cluster-admin" },
        subjects: [{ apiGroup, kind: "Group", name: "kubeadm:cluster-admins" }],
      },
    },
    {
      // A controller of the kube-apiserver makes this namespace too, but may still be on its way.
      path: "/api/v1/namespaces",
      object: { apiVersion: "v1", kind: "Namespace", metadata: { name: "kube-public" } },
    },
    {
      path: "/api/v1/namespaces/kube-public/configmaps",
      object: {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "cluster-info", namespace: "kube-public" },
        data: { kubeconfig },
      },
    },
    {
      path: `${rbac}/namespaces/kube-public/roles`,
      object: {
        apiVersion: `${apiGroup}/v1`,
        kind: "Role",
        metadata,
        rules: [
          { apiGroups: [""], resources: ["configmaps"], resourceNames: ["cluster-info"], verbs: ["get"] },
        ],
      },
    },
    {
      path: `${rbac}/namespaces/kube-public/rolebindings`,
      object: {
        apiVersion: `${apiGroup}/v1`,
        kind: "RoleBinding",
        metadata,
        roleRef: { apiGroup, kind: "Role", name },
        subjects: [{ apiGroup, kind: "User", name: "system:anonymous" }],
      },
    },
  ];
}
