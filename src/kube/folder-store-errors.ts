import { KubernetesApiError } from "./api-error.ts";
import type { KubernetesObject, ResourceType } from "./objects.ts";

type Resource = Pick<ResourceType<KubernetesObject>, "group" | "plural" | "kind">;

/** `jwtauthenticators.authentication.concierge.pinniped.dev`, as a `schema.GroupResource` is written. */
export function qualifiedResource(resource: Resource): string {
  return resource.group === "" ? resource.plural : `${resource.plural}.${resource.group}`;
}

/** The errors of `k8s.io/apimachinery/pkg/api/errors`, with its texts. */
export function notFound(resource: Resource, name: string): KubernetesApiError {
  return failure(404, "NotFound", `${qualifiedResource(resource)} "${name}" not found`, resource, name);
}

export function alreadyExists(resource: Resource, name: string): KubernetesApiError {
  return failure(
    409,
    "AlreadyExists",
    `${qualifiedResource(resource)} "${name}" already exists`,
    resource,
    name,
  );
}

export function conflict(resource: Resource, name: string, reason: string): KubernetesApiError {
  const message = `Operation cannot be fulfilled on ${qualifiedResource(resource)} "${name}": ${reason}`;
  return failure(409, "Conflict", message, resource, name);
}

export function staleObject(resource: Resource, name: string): KubernetesApiError {
  return conflict(
    resource,
    name,
    "the object has been modified; please apply your changes to the latest version and try again",
  );
}

export function forbidden(resource: Resource, name: string, reason: string): KubernetesApiError {
  const message = `${qualifiedResource(resource)} "${name}" is forbidden: ${reason}`;
  return failure(403, "Forbidden", message, resource, name);
}

export function invalid(resource: Resource, name: string, errors: readonly string[]): KubernetesApiError {
  const kind = resource.group === "" ? resource.kind : `${resource.kind}.${resource.group}`;
  const list = errors.length === 1 ? errors[0] : `[${errors.join(", ")}]`;
  return failure(422, "Invalid", `${kind} "${name}" is invalid: ${list}`, resource, name);
}

export function badRequest(resource: Resource, name: string, message: string): KubernetesApiError {
  return failure(400, "BadRequest", message, resource, name);
}

function failure(
  code: number,
  reason: string,
  message: string,
  resource: Resource,
  name: string,
): KubernetesApiError {
  return new KubernetesApiError({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    reason,
    details: { name, ...(resource.group === "" ? {} : { group: resource.group }), kind: resource.plural },
    code,
  });
}
