import type { ReviewedSubject } from "../../kube/access-review.ts";
import type { AccessRule } from "../../kube/access-rule.ts";
import { replaceApiGroupSuffix } from "../../kube/api-group-suffix.ts";
import type { ConciergeConfig } from "../config/config.ts";
import { CLUSTER_INFO } from "../controllers/cluster-info.ts";
import { agentDeploymentName } from "../controllers/kube-cert-agent/agent-deployment.ts";
import { proxyTokenKeySecretName } from "../controllers/proxy-token-key.ts";
import { previousSecretName } from "../controllers/rotating-key.ts";

/** What decides which rules this process needs. */
export interface Installation {
  readonly config: Pick<ConciergeConfig, "apiGroupSuffix" | "names" | "kubeCertAgent">;
  readonly namespace: string;
  /** Name of our Deployment, and of the Lease; undefined: not known yet, and rules that name it are left out. */
  readonly app: string | undefined;
}

const KUBE_SYSTEM = "kube-system";

/**
 * Every rule that the ServiceAccount of this process needs with this configuration file (contract 10.3, S19): no more than
 * what the code calls, and each write names its object, so that the chart's narrow profile is enough. The rights that the
 * CredentialIssuer's `certificateSigningRequestAPI` needs are looked at by that strategy.
 */
export function requiredRules({ config, namespace, app }: Installation): readonly AccessRule[] {
  const { names, apiGroupSuffix: suffix } = config;
  const group = (name: string): string => replaceApiGroupSuffix(`${name}.concierge.pinniped.dev`, suffix);
  const own = (resource: string, verbs: readonly string[], resourceNames?: readonly string[]): AccessRule =>
    inNamespace(namespace, resource, verbs, resourceNames);
  const tokenKey = proxyTokenKeySecretName(names.impersonationSignerSecret);
  const services = [names.impersonationLoadBalancerService, names.impersonationClusterIPService];
  const apiServices = ["login", "identity"].map((name) => `v1alpha1.${group(name)}`);

  return [
    // Who owns this Pod, and which addresses are our own Pods.
    own("pods", ["get", "list", "watch"]),
    own("replicasets.apps", ["get"]),
    own("deployments.apps", ["get"]),
    // Leadership; whose Lease it is, the Deployment says.
    own("leases.coordination.k8s.io", ["create"]),
    ...(app === undefined ? [] : [own("leases.coordination.k8s.io", ["get", "update"], [app])]),
    // Keys and certificates.
    own("secrets", ["list", "watch", "create"]),
    own("secrets", ["update"], [names.impersonationSignerSecret, tokenKey]),
    own("secrets", ["update", "delete"], [names.impersonationSignerSecret, tokenKey].map(previousSecretName)),
    own(
      "secrets",
      ["delete"],
      [
        names.servingCertificateSecret,
        names.impersonationTLSCertificateSecret,
        names.impersonationProxyLegacySecret,
      ],
    ),
    // The deny list, and authorities that authenticators name.
    own("configmaps", ["list", "watch"]),
    // The proxy: its Services and the token that it works with.
    own("services", ["list", "watch", "create"]),
    own("services", ["update", "delete"], services),
    own("serviceaccounts/token", ["create"], [names.impersonationProxyServiceAccount]),
    atCluster("nodes", ["list"]),
    // Where this cluster is, and who its front proxy is.
    inNamespace(CLUSTER_INFO.namespace, "configmaps", ["list", "watch"]),
    inNamespace(KUBE_SYSTEM, "configmaps", ["list", "watch"], ["extension-apiserver-authentication"]),
    atCluster("namespaces", ["list", "watch"]),
    // The aggregated API: published, and who may call it.
    atCluster("apiservices.apiregistration.k8s.io", ["list", "watch"]),
    atCluster("apiservices.apiregistration.k8s.io", ["get", "update"], apiServices),
    atCluster("tokenreviews.authentication.k8s.io", ["create"]),
    atCluster("subjectaccessreviews.authorization.k8s.io", ["create"]),
    // What administrators write.
    atCluster(`credentialissuers.${group("config")}`, ["list", "watch"]),
    atCluster(`credentialissuers/status.${group("config")}`, ["update"], [names.credentialIssuer]),
    ...["jwtauthenticators", "webhookauthenticators"].flatMap((resource) => [
      atCluster(`${resource}.${group("authentication")}`, ["list", "watch"]),
      atCluster(`${resource}/status.${group("authentication")}`, ["update"]),
    ]),
    // The agent that reads the cluster's signing key.
    ...(config.kubeCertAgent.enabled
      ? [
          own("pods", ["delete"]),
          own("pods/exec", ["create"]),
          own("deployments.apps", ["list", "watch", "create"]),
          own("deployments.apps", ["update", "delete"], [agentDeploymentName(config.kubeCertAgent)]),
          inNamespace(KUBE_SYSTEM, "pods", ["list", "watch"]),
        ]
      : []),
  ];
}

/** Rules that somebody else needs, so that what this process does is of use. */
export interface OthersRules {
  readonly subject: ReviewedSubject;
  /** The subject, for people. */
  readonly subjectText: string;
  readonly rules: readonly AccessRule[];
  /** What does not work without them. */
  readonly consequence: string;
}

/** What others need: an administrator may have taken it away on purpose, so its lack is told and stops nothing. */
export function othersRules({ config, namespace }: Installation): readonly OthersRules[] {
  const group = (name: string): string =>
    replaceApiGroupSuffix(`${name}.concierge.pinniped.dev`, config.apiGroupSuffix);
  const account = config.names.impersonationProxyServiceAccount;
  return [
    {
      subject: {
        user: `system:serviceaccount:${namespace}:${account}`,
        groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
      },
      subjectText: `ServiceAccount ${namespace}/${account}`,
      rules: ["users", "groups", "serviceaccounts"].map((resource) => atCluster(resource, ["impersonate"])),
      consequence: "the impersonation proxy cannot serve",
    },
    {
      subject: { user: "system:anonymous", groups: ["system:unauthenticated"] },
      subjectText: "Group system:unauthenticated",
      rules: [
        atCluster(`tokencredentialrequests.${group("login")}`, ["create"]),
        atCluster(`whoamirequests.${group("identity")}`, ["create"]),
      ],
      consequence: "nobody can log in who has no credential yet",
    },
  ];
}

/** `resource` as kubectl takes it: `plural.group` or `plural/subresource.group`. */
function atCluster(
  resource: string,
  verbs: readonly string[],
  resourceNames?: readonly string[],
): AccessRule {
  const [plural = "", ...groupParts] = resource.split(".");
  return {
    apiGroup: groupParts.join("."),
    resource: plural,
    ...(resourceNames === undefined ? {} : { resourceNames }),
    verbs,
  };
}

function inNamespace(
  namespace: string,
  resource: string,
  verbs: readonly string[],
  resourceNames?: readonly string[],
): AccessRule {
  return { namespace, ...atCluster(resource, verbs, resourceNames) };
}
