import { proxiedVerbs } from "../../telemetry/proxied-metrics.ts";
import type { ProxiedRequestLabels } from "../../telemetry/proxied-metrics.ts";
import { isTokenCredentialRequest } from "./exchange-request.ts";
import type { RequestContext } from "./request-context.ts";

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
const VERBS: ReadonlySet<string> = new Set(proxiedVerbs);

/** What Kubernetes itself has; custom resources are all `other`. */
const RESOURCES: readonly string[] = [
  ...["configmaps", "endpoints", "events", "limitranges", "namespaces", "nodes", "persistentvolumeclaims"],
  ...["persistentvolumes", "pods", "podtemplates", "replicationcontrollers", "resourcequotas", "secrets"],
  ...["serviceaccounts", "services", "controllerrevisions", "daemonsets", "deployments", "replicasets"],
  ...["statefulsets", "cronjobs", "jobs", "horizontalpodautoscalers", "poddisruptionbudgets", "ingresses"],
  ...[
    "ingressclasses",
    "networkpolicies",
    "endpointslices",
    "leases",
    "storageclasses",
    "csidrivers",
    "csinodes",
  ],
  ...["volumeattachments", "priorityclasses", "roles", "rolebindings", "clusterroles", "clusterrolebindings"],
  ...["customresourcedefinitions", "apiservices", "certificatesigningrequests", "selfsubjectaccessreviews"],
  ...["selfsubjectrulesreviews", "selfsubjectreviews", "subjectaccessreviews", "tokenreviews"],
  ...["mutatingwebhookconfigurations", "validatingwebhookconfigurations", "validatingadmissionpolicies"],
];
/** Sub-resources that mean work of another kind; of other objects than these they are `other`. */
const OWN_SUBRESOURCES: readonly string[] = [
  ...[
    "pods/exec",
    "pods/attach",
    "pods/portforward",
    "pods/log",
    "pods/proxy",
    "pods/eviction",
    "pods/status",
  ],
  ...["pods/ephemeralcontainers", "services/proxy", "nodes/proxy", "nodes/status", "serviceaccounts/token"],
  ...["deployments/scale", "deployments/status", "statefulsets/scale", "replicasets/scale", "jobs/status"],
];

const KNOWN_RESOURCES: ReadonlySet<string> = new Set(RESOURCES);
/** By resource, then sub-resource: no text is put together for each request. */
const SUBRESOURCES: ReadonlyMap<string, ReadonlyMap<string, string>> = new Map(
  [...Map.groupBy(OWN_SUBRESOURCES, (each) => each.slice(0, each.indexOf("/")))].map(([resource, labels]) => [
    resource,
    new Map(labels.map((label) => [label.slice(resource.length + 1), label])),
  ]),
);

/** Every value of the label `resource`. */
export const resourceLabels: readonly string[] = [
  "path",
  "tokencredentialrequests",
  ...RESOURCES,
  ...OWN_SUBRESOURCES,
  "other",
  "other/subresource",
];

/** The request in closed sets: a client cannot make new ones up (CVE-2022-21698). */
export function requestLabels({ request, attributes }: Pick<RequestContext, "request" | "attributes">): Omit<
  ProxiedRequestLabels,
  "code"
> & {
  readonly method: string;
} {
  const method = METHODS.has(request.method) ? request.method : "other";
  const verb = VERBS.has(attributes.verb) ? attributes.verb : "other";
  if (attributes.kind === "path") {
    return { method, verb, resource: "path" };
  }
  if (isTokenCredentialRequest(attributes)) {
    return { method, verb, resource: "tokencredentialrequests" };
  }
  const { resource, subresource } = attributes;
  if (subresource === "") {
    return { method, verb, resource: KNOWN_RESOURCES.has(resource) ? resource : "other" };
  }
  return { method, verb, resource: SUBRESOURCES.get(resource)?.get(subresource) ?? "other/subresource" };
}
