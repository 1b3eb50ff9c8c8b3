import type { RequestContext } from "./request-context.ts";
import { isTokenCredentialRequest } from "./exchange-request.ts";
import type { ProxiedRequestLabels } from "../../telemetry/metrics.ts";

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
const VERBS = new Set([
  "get",
  "list",
  "watch",
  "create",
  "update",
  "patch",
  "delete",
  "deletecollection",
  "proxy",
]);
const SUBRESOURCES = new Set(["exec", "attach", "portforward", "log", "proxy", "status", "scale"]);

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
  const { subresource } = attributes;
  if (subresource === "") {
    return { method, verb, resource: "resource" };
  }
  return { method, verb, resource: SUBRESOURCES.has(subresource) ? subresource : "subresource" };
}
