import { replaceApiGroupSuffix } from "../kube/api-group-suffix.ts";
import { API_VERSION } from "./kind.ts";
import type { AggregatedKind } from "./kind.ts";
import { aggregatedKinds } from "./kinds.ts";

/** `meta/v1 APIResource`. */
export interface APIResource {
  readonly name: string;
  readonly singularName: string;
  readonly namespaced: boolean;
  readonly kind: string;
  readonly verbs: readonly string[];
  readonly categories: readonly string[];
}

/** `meta/v1 APIResourceList`: the answer at `/apis/<group>/v1alpha1`. */
export interface APIResourceList {
  readonly kind: "APIResourceList";
  readonly apiVersion: "v1";
  readonly groupVersion: string;
  readonly resources: readonly APIResource[];
}

interface GroupVersion {
  readonly groupVersion: string;
  readonly version: string;
}

/** `meta/v1 APIGroup` as an element of a list. */
export interface APIGroupEntry {
  readonly name: string;
  readonly versions: readonly GroupVersion[];
  readonly preferredVersion: GroupVersion;
}

/** `meta/v1 APIGroup`: the answer at `/apis/<group>`. */
export interface APIGroup extends APIGroupEntry {
  readonly kind: "APIGroup";
  readonly apiVersion: "v1";
}

/** `meta/v1 APIGroupList`: the answer at `/apis`. */
export interface APIGroupList {
  readonly kind: "APIGroupList";
  readonly apiVersion: "v1";
  readonly groups: readonly APIGroupEntry[];
}

/** `apidiscovery.k8s.io` versions that exist. */
export type DiscoveryVersion = "v2" | "v2beta1";

/** `apidiscovery.k8s.io APIGroupDiscoveryList`: the answer at `/apis` to those who ask for it by Accept. */
export interface APIGroupDiscoveryList {
  readonly kind: "APIGroupDiscoveryList";
  readonly apiVersion: `apidiscovery.k8s.io/${DiscoveryVersion}`;
  readonly metadata: object;
  readonly items: readonly {
    readonly metadata: { readonly name: string; readonly creationTimestamp: null };
    readonly versions: readonly {
      readonly version: string;
      readonly resources: readonly {
        readonly resource: string;
        readonly responseKind: { readonly group: string; readonly version: string; readonly kind: string };
        readonly scope: "Cluster" | "Namespaced";
        readonly singularResource: string;
        readonly verbs: readonly string[];
        readonly categories: readonly string[];
      }[];
      readonly freshness: "Current";
    }[];
  }[];
}

/** The groups that the aggregated API serves, with the kinds in each, sorted by name. */
export function aggregatedGroups(
  apiGroupSuffix: string,
): readonly { readonly group: string; readonly kinds: readonly AggregatedKind[] }[] {
  const groups = new Map<string, AggregatedKind[]>();
  for (const kind of aggregatedKinds) {
    const group = replaceApiGroupSuffix(kind.resource.group, apiGroupSuffix);
    groups.set(group, [...(groups.get(group) ?? []), kind]);
  }
  return [...groups]
    .map(([group, kinds]) => ({ group, kinds }))
    .toSorted((a, b) => (a.group < b.group ? -1 : 1));
}

/** One `APIResourceList` per group of the aggregated API. */
export function apiResourceLists(apiGroupSuffix: string): readonly APIResourceList[] {
  return aggregatedGroups(apiGroupSuffix).map(({ group, kinds }) => ({
    kind: "APIResourceList",
    apiVersion: "v1",
    groupVersion: `${group}/${API_VERSION}`,
    resources: kinds.map(({ resource, singular, verbs, categories }) => ({
      name: resource.plural,
      singularName: singular,
      namespaced: resource.namespaced,
      kind: resource.kind,
      verbs,
      categories,
    })),
  }));
}

/** One `APIGroup` per group of the aggregated API. */
export function apiGroups(apiGroupSuffix: string): readonly APIGroup[] {
  return aggregatedGroups(apiGroupSuffix).map(({ group }) => ({
    kind: "APIGroup",
    apiVersion: "v1",
    ...groupEntry(group),
  }));
}

/** The list of all groups of the aggregated API. */
export function apiGroupList(apiGroupSuffix: string): APIGroupList {
  return {
    kind: "APIGroupList",
    apiVersion: "v1",
    groups: aggregatedGroups(apiGroupSuffix).map(({ group }) => groupEntry(group)),
  };
}

/** Groups, versions and resources in one document (aggregated discovery). */
export function apiGroupDiscoveryList(
  apiGroupSuffix: string,
  version: DiscoveryVersion,
): APIGroupDiscoveryList {
  return {
    kind: "APIGroupDiscoveryList",
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: aggregatedGroups(apiGroupSuffix).map(({ group, kinds }) => ({
      metadata: { name: group, creationTimestamp: null },
      versions: [
        {
          version: API_VERSION,
          resources: kinds.map(({ resource, singular, verbs, categories }) => ({
            resource: resource.plural,
            responseKind: { group, version: API_VERSION, kind: resource.kind },
            scope: resource.namespaced ? "Namespaced" : "Cluster",
            singularResource: singular,
            verbs,
            categories,
          })),
          freshness: "Current",
        },
      ],
    })),
  };
}

function groupEntry(group: string): APIGroupEntry {
  const version = { groupVersion: `${group}/${API_VERSION}`, version: API_VERSION };
  return { name: group, versions: [version], preferredVersion: version };
}
