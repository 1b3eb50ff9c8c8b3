import type { KubernetesObject, ObjectMeta, ResourceType } from "./objects.ts";

export { configMaps, secrets } from "./objects.ts";

/** `v1 Pod`, the parts that are used here. */
export interface Pod extends KubernetesObject {
  readonly spec?: {
    readonly nodeName?: string;
    readonly serviceAccountName?: string;
    readonly containers?: readonly Container[];
    readonly volumes?: readonly Readonly<Record<string, unknown>>[];
    readonly nodeSelector?: Readonly<Record<string, string>>;
    readonly tolerations?: readonly Readonly<Record<string, unknown>>[];
    readonly [field: string]: unknown;
  };
  readonly status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    readonly [field: string]: unknown;
  };
}

/** `v1 Container`. */
export interface Container {
  readonly name: string;
  readonly image?: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly volumeMounts?: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
  }[];
  readonly [field: string]: unknown;
}

/** `v1 PodTemplateSpec`. */
export interface PodTemplate {
  readonly metadata?: Partial<ObjectMeta>;
  readonly spec?: NonNullable<Pod["spec"]>;
}

/** `apps/v1 ReplicaSet`. */
export interface ReplicaSet extends KubernetesObject {
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: Readonly<Record<string, unknown>>;
}

/** `apps/v1 Deployment`. */
export interface Deployment extends KubernetesObject {
  readonly spec?: {
    readonly replicas?: number;
    readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
    readonly template?: PodTemplate;
    readonly [field: string]: unknown;
  };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly updatedReplicas?: number;
    readonly availableReplicas?: number;
    readonly [field: string]: unknown;
  };
}

/** `v1 Service`. */
export interface Service extends KubernetesObject {
  readonly spec?: {
    readonly type?: string;
    readonly clusterIP?: string;
    readonly clusterIPs?: readonly string[];
    readonly loadBalancerIP?: string;
    readonly loadBalancerClass?: string;
    readonly loadBalancerSourceRanges?: readonly string[];
    readonly selector?: Readonly<Record<string, string>>;
    readonly ports?: readonly {
      readonly name?: string;
      readonly protocol?: string;
      readonly port: number;
      readonly targetPort?: number | string;
      readonly nodePort?: number;
    }[];
    readonly [field: string]: unknown;
  };
  readonly status?: {
    readonly loadBalancer?: {
      readonly ingress?: readonly { readonly ip?: string; readonly hostname?: string }[];
    };
    readonly [field: string]: unknown;
  };
}

/** `v1 Node`. */
export interface Node extends KubernetesObject {
  readonly spec?: { readonly unschedulable?: boolean; readonly [field: string]: unknown };
  readonly status?: {
    readonly addresses?: readonly { readonly type: string; readonly address: string }[];
    readonly [field: string]: unknown;
  };
}

/** `v1 Namespace`; its UID names the cluster (S9). */
export interface Namespace extends KubernetesObject {
  readonly spec?: Readonly<Record<string, unknown>>;
}

/** `coordination.k8s.io/v1 Lease`; times are RFC 3339 with microseconds. */
export interface Lease extends KubernetesObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
    readonly [field: string]: unknown;
  };
}

/** `apiregistration.k8s.io/v1 APIService`; `caBundle` is base64 of PEM. */
export interface ApiService extends KubernetesObject {
  readonly spec?: {
    readonly group?: string;
    readonly version?: string;
    readonly groupPriorityMinimum: number;
    readonly versionPriority: number;
    readonly service?: { readonly namespace?: string; readonly name?: string; readonly port?: number };
    readonly caBundle?: string;
    readonly insecureSkipTLSVerify?: boolean;
  };
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly message?: string;
    }[];
  };
}

/** What is sent to a virtual resource has no name of its own. */
interface Review extends KubernetesObject {
  readonly metadata: ObjectMeta;
}

/** `metadata` of a review or a request: nothing in it. The server fills in what it likes. */
export const emptyMetadata = Object.freeze({}) as ObjectMeta;

/** `authorization.k8s.io/v1 SubjectAccessReview`. */
export interface SubjectAccessReview extends Review {
  readonly spec: {
    readonly user?: string;
    readonly uid?: string;
    readonly groups?: readonly string[];
    readonly extra?: Readonly<Record<string, readonly string[]>>;
    readonly resourceAttributes?: {
      readonly namespace?: string;
      readonly verb?: string;
      readonly group?: string;
      readonly version?: string;
      readonly resource?: string;
      readonly subresource?: string;
      readonly name?: string;
      readonly [field: string]: unknown;
    };
    readonly nonResourceAttributes?: { readonly path?: string; readonly verb?: string };
  };
  readonly status?: {
    readonly allowed: boolean;
    readonly denied?: boolean;
    readonly reason?: string;
    readonly evaluationError?: string;
  };
}

/** `authentication.k8s.io/v1 UserInfo`. */
export interface UserInfo {
  readonly username?: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/** `authentication.k8s.io/v1 TokenReview`. */
export interface TokenReview extends Review {
  readonly spec: { readonly token: string; readonly audiences?: readonly string[] };
  readonly status?: {
    readonly authenticated?: boolean;
    readonly user?: UserInfo;
    readonly audiences?: readonly string[];
    readonly error?: string;
  };
}

/** `authentication.k8s.io/v1 TokenRequest`, a subresource of a ServiceAccount. */
export interface TokenRequest extends Review {
  readonly spec: { readonly audiences?: readonly string[]; readonly expirationSeconds?: number };
  readonly status?: { readonly token: string; readonly expirationTimestamp: string };
}

/** `certificates.k8s.io/v1 CertificateSigningRequest`; `request` and `certificate` are base64 of PEM. */
export interface CertificateSigningRequest extends KubernetesObject {
  readonly spec: {
    readonly request: string;
    readonly signerName: string;
    readonly expirationSeconds?: number;
    readonly usages?: readonly string[];
    readonly username?: string;
    readonly groups?: readonly string[];
  };
  readonly status?: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly reason?: string;
      readonly message?: string;
    }[];
    readonly certificate?: string;
  };
}

function core<T extends KubernetesObject>(
  kind: string,
  plural: string,
  namespaced: boolean,
): ResourceType<T> {
  return { group: "", version: "v1", kind, plural, namespaced };
}

export const pods: ResourceType<Pod> = core("Pod", "pods", true);
export const services: ResourceType<Service> = core("Service", "services", true);
export const nodes: ResourceType<Node> = core("Node", "nodes", false);
export const namespaces: ResourceType<Namespace> = core("Namespace", "namespaces", false);
/** For `KubernetesClient.review` with the target's subresource `token`. */
export const tokenRequests: ResourceType<TokenRequest> = core("TokenRequest", "serviceaccounts", true);

export const replicaSets: ResourceType<ReplicaSet> = {
  group: "apps",
  version: "v1",
  kind: "ReplicaSet",
  plural: "replicasets",
  namespaced: true,
};

export const deployments: ResourceType<Deployment> = {
  group: "apps",
  version: "v1",
  kind: "Deployment",
  plural: "deployments",
  namespaced: true,
};

export const leases: ResourceType<Lease> = {
  group: "coordination.k8s.io",
  version: "v1",
  kind: "Lease",
  plural: "leases",
  namespaced: true,
};

export const apiServices: ResourceType<ApiService> = {
  group: "apiregistration.k8s.io",
  version: "v1",
  kind: "APIService",
  plural: "apiservices",
  namespaced: false,
};

export const subjectAccessReviews: ResourceType<SubjectAccessReview> = {
  group: "authorization.k8s.io",
  version: "v1",
  kind: "SubjectAccessReview",
  plural: "subjectaccessreviews",
  namespaced: false,
};

/** `authorization.k8s.io/v1 SelfSubjectAccessReview`: it names no user. */
export const selfSubjectAccessReviews: ResourceType<SubjectAccessReview> = {
  group: "authorization.k8s.io",
  version: "v1",
  kind: "SelfSubjectAccessReview",
  plural: "selfsubjectaccessreviews",
  namespaced: false,
};

export const tokenReviews: ResourceType<TokenReview> = {
  group: "authentication.k8s.io",
  version: "v1",
  kind: "TokenReview",
  plural: "tokenreviews",
  namespaced: false,
};

export const certificateSigningRequests: ResourceType<CertificateSigningRequest> = {
  group: "certificates.k8s.io",
  version: "v1",
  kind: "CertificateSigningRequest",
  plural: "certificatesigningrequests",
  namespaced: false,
};
