import { isDeepStrictEqual } from "node:util";

import type { Deployment } from "../../../kube/resources.ts";

/** What has to be done so that `existing` becomes `wanted` (contract 6.5). */
export type DeploymentChange =
  | { readonly kind: "none" }
  | { readonly kind: "update"; readonly object: Deployment }
  /** A selector cannot be changed. */
  | { readonly kind: "replace" };

/**
 * Compares what is wanted; what the API server added counts for nothing. Selector, template labels and nodeSelector are
 * compared exactly. An update keeps labels and annotations that others put there, and replaces the whole spec.
 */
export function decideDeploymentChange(existing: Deployment, wanted: Deployment): DeploymentChange {
  if (!isDeepStrictEqual(existing.spec?.selector, wanted.spec?.selector)) {
    return { kind: "replace" };
  }
  const labels = { ...existing.metadata.labels, ...wanted.metadata.labels };
  const was = existing.spec?.template;
  const shall = wanted.spec?.template;
  const same =
    isDeepStrictEqual(existing.metadata.labels ?? {}, labels) &&
    isDeepStrictEqual(was?.metadata?.labels ?? {}, shall?.metadata?.labels ?? {}) &&
    isDeepStrictEqual(was?.spec?.nodeSelector ?? {}, shall?.spec?.nodeSelector ?? {}) &&
    covers(wanted.spec, existing.spec);
  return same
    ? { kind: "none" }
    : {
        kind: "update",
        object: {
          ...existing,
          metadata: { ...existing.metadata, labels },
          ...(wanted.spec === undefined ? {} : { spec: wanted.spec }),
        },
      };
}

/** Whether `existing` says all that `wanted` says; lists have to be as long. */
function covers(wanted: unknown, existing: unknown): boolean {
  if (wanted === undefined || (existing === undefined && isOmittedWhenStored(wanted))) {
    return true;
  }
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(existing) &&
      wanted.length === existing.length &&
      wanted.every((each, index) => covers(each, existing[index]))
    );
  }
  if (typeof wanted === "object" && wanted !== null) {
    if (typeof existing !== "object" || existing === null) {
      return false;
    }
    const there = existing as Readonly<Record<string, unknown>>;
    return Object.entries(wanted).every(([key, value]) =>
      // The only flag of ours that the API server drops when it is false.
      key === "hostNetwork" ? value === (there[key] ?? false) : covers(value, there[key]),
    );
  }
  return wanted === existing;
}

/** Empty texts, lists and maps are not stored; zero and false may differ from a default, and are. */
function isOmittedWhenStored(value: unknown): boolean {
  return value === "" || (typeof value === "object" && value !== null && Object.keys(value).length === 0);
}
