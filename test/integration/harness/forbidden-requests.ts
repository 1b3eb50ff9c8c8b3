import { Agent } from "node:https";
import { type Answer, type Caller, call } from "./http.ts";

/** One thing that an account must not be able to do, as the request that tries it. */
export interface ForbiddenRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const request = (
  method: ForbiddenRequest["method"],
  path: string,
  headers?: ForbiddenRequest["headers"],
): ForbiddenRequest => ({ method, path, ...(headers === undefined ? {} : { headers }) });

const own = "/api/v1/namespaces/concierge";
const other = "/api/v1/namespaces/default";
const system = "/api/v1/namespaces/kube-system";
const rbac = "/apis/rbac.authorization.k8s.io/v1";
const app = "lanyard-concierge";
const webhooks = "/apis/admissionregistration.k8s.io/v1";
const crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const apiServices = "/apis/apiregistration.k8s.io/v1/apiservices";
const authentication = "/apis/authentication.concierge.pinniped.dev/v1alpha1";
const configuration = "/apis/config.concierge.pinniped.dev/v1alpha1";
const signing = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

/** What no account of the Concierge may do, whatever else it is for. */
export const forbiddenToAll: readonly ForbiddenRequest[] = [
  // Secrets and configuration of others.
  request("GET", "/api/v1/secrets"),
  request("GET", `${system}/secrets`),
  request("GET", `${system}/secrets/some`),
  request("GET", `${other}/secrets/some`),
  request("POST", `${other}/secrets`),
  request("DELETE", `${system}/secrets/some`),
  request("GET", "/api/v1/configmaps"),
  request("GET", `${system}/configmaps`),
  request("PATCH", `${system}/configmaps/extension-apiserver-authentication`),
  // The program's own configuration, and the deny list.
  request("POST", `${own}/configmaps`),
  request("PATCH", `${own}/configmaps/${app}-config`),
  request("DELETE", `${own}/configmaps/${app}-deny-list`),
  // Code that runs with other rights.
  request("POST", `${own}/pods`),
  request("POST", `${other}/pods`),
  request("POST", `${system}/pods`),
  request("DELETE", `${system}/pods/some`),
  request("POST", `${system}/pods/some/exec?command=sh`),
  request("POST", `${other}/pods/some/exec?command=sh`),
  request("GET", `${own}/pods/some/log`),
  request("POST", `${own}/pods/some/attach`),
  request("POST", `${own}/pods/some/portforward`),
  request("PATCH", `${own}/pods/some/ephemeralcontainers`),
  request("PATCH", `${own}/pods/some`),
  request("POST", "/apis/apps/v1/namespaces/default/deployments"),
  request("PATCH", "/apis/apps/v1/namespaces/kube-system/deployments/some"),
  request("POST", "/apis/apps/v1/namespaces/concierge/daemonsets"),
  request("POST", "/apis/batch/v1/namespaces/concierge/jobs"),
  // Tokens of accounts, other than the one that the proxy is.
  request("POST", `${own}/serviceaccounts/${app}/token`),
  request("POST", `${own}/serviceaccounts/${app}-kube-cert-agent/token`),
  request("POST", `${own}/serviceaccounts/default/token`),
  request("POST", `${system}/serviceaccounts/default/token`),
  request("POST", `${own}/serviceaccounts`),
  request("PATCH", `${own}/serviceaccounts/${app}-impersonation-proxy`),
  // More rights.
  request("GET", `${rbac}/clusterroles`),
  request("POST", `${rbac}/clusterroles`),
  request("POST", `${rbac}/clusterrolebindings`),
  request("PATCH", `${rbac}/clusterroles/${app}-aggregated-api-server`),
  request("PATCH", `${rbac}/clusterroles/${app}-impersonation-proxy`),
  request("PATCH", `${rbac}/clusterrolebindings/${app}-impersonation-proxy`),
  request("DELETE", `${rbac}/clusterroles/cluster-admin`),
  request("POST", `${rbac}/namespaces/concierge/roles`),
  request("PATCH", `${rbac}/namespaces/concierge/roles/${app}-aggregated-api-server`),
  request("POST", `${rbac}/namespaces/concierge/rolebindings`),
  request("POST", `${rbac}/namespaces/kube-system/rolebindings`),
  // Nodes and namespaces.
  request("GET", "/api/v1/nodes/some"),
  request("PATCH", "/api/v1/nodes/some"),
  request("DELETE", "/api/v1/nodes/some"),
  request("GET", "/api/v1/nodes/some/proxy/logs"),
  request("POST", "/api/v1/namespaces"),
  request("PATCH", "/api/v1/namespaces/concierge"),
  request("DELETE", "/api/v1/namespaces/concierge"),
  // What every request to the kube-apiserver passes.
  ...[
    "mutatingwebhookconfigurations",
    "validatingwebhookconfigurations",
    "validatingadmissionpolicies",
  ].flatMap((plural) => [
    request("GET", `${webhooks}/${plural}`),
    request("POST", `${webhooks}/${plural}`),
    request("PATCH", `${webhooks}/${plural}/some`),
    request("DELETE", `${webhooks}/${plural}/some`),
  ]),
  request("GET", crds),
  request("PATCH", `${crds}/credentialissuers.config.concierge.pinniped.dev`),
  request("DELETE", `${crds}/jwtauthenticators.authentication.concierge.pinniped.dev`),
  request("POST", apiServices),
  request("DELETE", `${apiServices}/v1alpha1.login.concierge.pinniped.dev`),
  request("POST", "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas"),
  // Whom to believe, which is the administrator's to say.
  ...["jwtauthenticators", "webhookauthenticators"].flatMap((plural) => [
    request("POST", `${authentication}/${plural}`),
    request("PUT", `${authentication}/${plural}/some`),
    request("PATCH", `${authentication}/${plural}/some`),
    request("DELETE", `${authentication}/${plural}/some`),
  ]),
  request("PUT", `${configuration}/credentialissuers/${app}-config`),
  request("PATCH", `${configuration}/credentialissuers/${app}-config`),
  request("DELETE", `${configuration}/credentialissuers/${app}-config`),
  // Leadership of others.
  request("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"),
  request("PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager"),
  request("DELETE", `/apis/coordination.k8s.io/v1/namespaces/concierge/leases/${app}`),
];

/** To be somebody else: only the proxy's account may. */
export const impersonation: readonly ForbiddenRequest[] = [
  { "impersonate-user": "kubernetes-super-admin", "impersonate-group": "system:masters" },
  { "impersonate-user": "kubernetes-admin" },
  { "impersonate-user": "system:node:some", "impersonate-group": "system:nodes" },
  { "impersonate-user": "system:serviceaccount:kube-system:default" },
  { "impersonate-user": `system:serviceaccount:concierge:${app}`, "impersonate-uid": "1" },
  // To everybody's /version, so that the administrator, who may be anybody, gets an answer.
].map((headers) => request("GET", "/version", headers));

/** What the server's own account does as its work, and the two others have no use for. */
export const serversAlone: readonly ForbiddenRequest[] = [
  request("GET", `${own}/secrets`),
  request("GET", `${own}/secrets/${app}-impersonation-proxy-signer-ca-certificate`),
  request("POST", `${own}/secrets`),
  request("GET", `${own}/configmaps`),
  request("GET", `${system}/pods`),
  request("POST", `${own}/pods/some/exec?command=sh`),
  request("POST", "/apis/apps/v1/namespaces/concierge/deployments"),
  request("POST", `${own}/serviceaccounts/${app}-impersonation-proxy/token`),
  request("PATCH", `${apiServices}/v1alpha1.login.concierge.pinniped.dev`),
  request("PUT", `${authentication}/jwtauthenticators/some/status`),
  request("POST", "/apis/authentication.k8s.io/v1/tokenreviews"),
  request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews"),
];

/** Rights over certificates: none without the strategy that needs them. */
export const certificates: readonly ForbiddenRequest[] = [
  request("GET", signing),
  request("POST", signing),
  request("PUT", `${signing}/some/approval`),
  request("DELETE", `${signing}/some`),
];

/** Even with that strategy. */
export const certificatesBeyond: readonly ForbiddenRequest[] = [
  request("PATCH", `${signing}/some`),
  request("PUT", `${signing}/some/status`),
  request("PATCH", `${signing}/some/approval`),
];

/** Objects of others in our namespace, and others than the one that is ours elsewhere: the profile `narrow` alone forbids these. */
export const forbiddenWhenNarrow: readonly ForbiddenRequest[] = [
  request("PUT", `${own}/secrets/somebody-elses`),
  request("PATCH", `${own}/secrets/somebody-elses`),
  request("DELETE", `${own}/secrets/somebody-elses`),
  request("PATCH", `${own}/services/somebody-elses`),
  request("DELETE", `${own}/services/somebody-elses`),
  request("PUT", "/apis/coordination.k8s.io/v1/namespaces/concierge/leases/somebody-elses"),
  request("PATCH", `/apis/apps/v1/namespaces/concierge/deployments/${app}`),
  request("DELETE", `/apis/apps/v1/namespaces/concierge/deployments/${app}`),
  request("PATCH", `${apiServices}/v1.apps`),
  request("PUT", `${apiServices}/v1beta1.metrics.k8s.io`),
  request("POST", `${configuration}/credentialissuers`),
  request("PATCH", `${configuration}/credentialissuers/somebody-elses/status`),
];

/** Who tries, at which kube-apiserver. */
interface Trial {
  readonly server: string;
  readonly caPem: string;
  readonly caller: Caller;
}

/** Sends a list, one after another on one connection. */
async function sendAll(
  list: readonly ForbiddenRequest[],
  { server, caPem, caller }: Trial,
): Promise<readonly { readonly what: string; readonly answer: Answer }[]> {
  const agent = new Agent({ keepAlive: true });
  const answers = [];
  for (const { method, path, headers = {} } of list) {
    const answer = await call({
      server,
      caPem,
      caller,
      agent,
      method,
      path: method === "GET" ? path : `${path}${path.includes("?") ? "&" : "?"}dryRun=All`,
      // With a body, the kube-apiserver would not look at a deletion's parameters, and the administrator's would be no dry run.
      body: method === "GET" || method === "DELETE" ? undefined : "{}",
      headers: {
        ...headers,
        ...(method === "PATCH" ? { "content-type": "application/merge-patch+json" } : {}),
      },
    });
    answers.push({ what: `${method} ${path} ${JSON.stringify(headers)}`, answer });
  }
  agent.destroy();
  return answers;
}

/**
 * Tries everything of a list as `account`, whose token `caller` has, and answers what was not refused for want of the
 * right, a line each. Every refusal must name the account.
 */
export async function allowedOf(
  list: readonly ForbiddenRequest[],
  { account, ...trial }: Trial & { readonly account: string },
): Promise<readonly string[]> {
  const refused = ({ status, text }: Answer): boolean =>
    status === 403 && (JSON.parse(text) as { message: string }).message.includes(`User "${account}" cannot `);
  return (await sendAll(list, trial))
    .filter(({ answer }) => !refused(answer))
    .map(({ what, answer }) => `${what}: ${answer.status} ${answer.text}`);
}

/**
 * The same as dry runs of the administrator, who is refused nothing that exists: otherwise a slip of the pen in a path would
 * pass for a right that is missing. Answers what does not exist.
 */
export async function unknownOf(list: readonly ForbiddenRequest[], trial: Trial): Promise<readonly string[]> {
  const unknown = ({ status, text }: Answer): boolean =>
    [401, 403, 405].includes(status) || text.startsWith("404 page not found");
  return (await sendAll(list, trial))
    .filter(({ answer }) => unknown(answer))
    .map(({ what, answer }) => `${what}: ${answer.status} ${answer.text}`);
}
