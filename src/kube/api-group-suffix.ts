import { LanyardError } from "../errors.ts";
import type { KubernetesObject, OwnerReference } from "./objects.ts";

/** The suffix that all source code, audit lines and texts use (contract 1.2). */
export const defaultApiGroupSuffix = "pinniped.dev";

const dns1123Text =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

/** The standard texts of Kubernetes about what is not a DNS-1123 subdomain; empty when it is one. */
export function dns1123SubdomainErrors(value: string): readonly string[] {
  const errors: string[] = [];
  if (Buffer.byteLength(value) > 253) {
    errors.push("must be no more than 253 characters");
  }
  if (!/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(value)) {
    errors.push(dns1123Text);
  }
  return errors;
}

/**
 * Refuses what cannot be an API group suffix (contract 1.2). Several faults read `[first, second]`, as
 * `k8s.io/apimachinery/pkg/util/errors` joins them.
 *
 * @throws LanyardError `configuration.apiGroupSuffix.invalid`
 */
export function validateApiGroupSuffix(suffix: string): void {
  const errors = [...(suffix.includes(".") ? [] : ["must contain '.'"]), ...dns1123SubdomainErrors(suffix)];
  if (errors.length > 0) {
    const message = errors.length === 1 ? errors[0]! : `[${errors.join(", ")}]`;
    throw new LanyardError({ code: "configuration.apiGroupSuffix.invalid", message });
  }
}

/** `x.pinniped.dev` becomes `x.<suffix>`; anything else, the bare suffix too, stays. Also for names such as an APIService's. */
export function replaceApiGroupSuffix(group: string, suffix: string): string {
  return swapTail(group, defaultApiGroupSuffix, suffix);
}

/** The way back: `x.<suffix>` becomes `x.pinniped.dev`; anything else stays. */
export function unreplaceApiGroupSuffix(group: string, suffix: string): string {
  return swapTail(group, suffix, defaultApiGroupSuffix);
}

function swapTail(group: string, from: string, to: string): string {
  return group.endsWith(`.${from}`) ? group.slice(0, -from.length) + to : group;
}

/** Rewrites objects between the form of the cluster and the `pinniped.dev` form. */
export interface ApiGroupRewriter {
  group(group: string): string;
  /** `ownerReferences` only for create and update, never for subresource calls (contract 1.2). */
  outgoing<T extends KubernetesObject>(object: T, what: { readonly ownerReferences: boolean }): T;
  incoming<T extends KubernetesObject>(object: T): T;
}

export function createApiGroupRewriter(suffix: string): ApiGroupRewriter {
  if (suffix === defaultApiGroupSuffix) {
    return { group: (group) => group, outgoing: (object) => object, incoming: (object) => object };
  }
  const rewrite = <T extends KubernetesObject>(
    object: T,
    ownerReferences: boolean,
    swap: (group: string, suffix: string) => string,
  ): T => {
    const apiVersion = swapApiVersion(object.apiVersion, swap);
    // What a server sends is not always an object with metadata (a Status, a bookmark).
    const owners = (object.metadata as KubernetesObject["metadata"] | undefined)?.ownerReferences;
    const swapped = ownerReferences ? owners?.map((owner) => swapOwner(owner, swap)) : undefined;
    if (
      apiVersion === object.apiVersion &&
      (swapped ?? []).every((owner, index) => owner === owners?.[index])
    ) {
      return object;
    }
    return {
      ...object,
      apiVersion,
      ...(swapped === undefined ? {} : { metadata: { ...object.metadata, ownerReferences: swapped } }),
    };
  };
  const swapApiVersion = (apiVersion: string, swap: (group: string, suffix: string) => string): string => {
    const slash = apiVersion.lastIndexOf("/");
    return slash < 0 ? apiVersion : swap(apiVersion.slice(0, slash), suffix) + apiVersion.slice(slash);
  };
  const swapOwner = (
    owner: OwnerReference,
    swap: (group: string, suffix: string) => string,
  ): OwnerReference => {
    const apiVersion = swapApiVersion(owner.apiVersion, swap);
    return apiVersion === owner.apiVersion ? owner : { ...owner, apiVersion };
  };
  return {
    group: (group) => replaceApiGroupSuffix(group, suffix),
    outgoing: (object, what) => rewrite(object, what.ownerReferences, replaceApiGroupSuffix),
    incoming: (object) => rewrite(object, true, unreplaceApiGroupSuffix),
  };
}
