import { LanyardError } from "../errors.ts";
import type { KubernetesObject, ObjectKey, ResourceType } from "./objects.ts";

/** The URL path of one object or of a collection; `group` as the cluster knows it. */
export function resourcePath(
  resource: ResourceType<KubernetesObject>,
  group: string,
  where: { readonly namespace?: string | undefined; readonly name?: string; readonly subresource?: string },
): string {
  const parts = group === "" ? ["/api", resource.version] : ["/apis", group, resource.version];
  if (resource.namespaced && where.namespace !== undefined) {
    parts.push("namespaces", segment(where.namespace));
  }
  parts.push(resource.plural);
  if (where.name !== undefined) {
    if (resource.namespaced && where.namespace === undefined) {
      throw new TypeError(`${resource.kind} is namespaced: a namespace is needed`);
    }
    parts.push(segment(where.name));
  }
  if (where.subresource !== undefined) {
    parts.push(where.subresource);
  }
  return parts.join("/");
}

/** `namespace/name`, or the name alone. */
export function keyText(key: ObjectKey): string {
  return key.namespace === undefined ? key.name : `${key.namespace}/${key.name}`;
}

export function keyOf(object: KubernetesObject): ObjectKey {
  const { namespace, name } = object.metadata;
  return namespace === undefined || namespace === "" ? { name } : { namespace, name };
}

/** What would change the path's shape is refused: names come from objects that others write. */
function segment(value: string): string {
  if (value === "" || value === "." || value === ".." || /[/%]/.test(value)) {
    throw new LanyardError({
      code: "kubernetes.name.invalid",
      message: `${JSON.stringify(value)} cannot be the name of a Kubernetes object`,
      httpStatus: 400,
    });
  }
  return encodeURIComponent(value);
}
