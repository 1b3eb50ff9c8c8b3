import { OBJECT_META } from "./kind.ts";
import type { JsonSchema } from "./schema.ts";

const PREFIX = "io.k8s.apimachinery.pkg.apis.meta.v1";

/** The OpenAPI names of the shared Kubernetes types that our documents use. */
export const LIST_META = `${PREFIX}.ListMeta`;
export const API_RESOURCE_LIST = `${PREFIX}.APIResourceList`;
const OWNER_REFERENCE = `${PREFIX}.OwnerReference`;
const MANAGED_FIELDS_ENTRY = `${PREFIX}.ManagedFieldsEntry`;
const FIELDS_V1 = `${PREFIX}.FieldsV1`;
const API_RESOURCE = `${PREFIX}.APIResource`;

const string = (description: string): JsonSchema => ({ type: "string", description });
const boolean = (description: string): JsonSchema => ({ type: "boolean", description });
const int64 = (description: string): JsonSchema => ({ type: "integer", format: "int64", description });
const time = (description: string): JsonSchema => ({ type: "string", format: "date-time", description });
const ref = (name: string, description: string): JsonSchema => ({ "x-lanyard-ref": name, description });
const strings = (description: string): JsonSchema => ({
  type: "array",
  items: { type: "string" },
  description,
});
const stringMap = (description: string): JsonSchema => ({
  type: "object",
  additionalProperties: { type: "string" },
  description,
});

const TYPE_META = {
  apiVersion: string("The group and version that the fields of this object follow, as <group>/<version>."),
  kind: string("The name of the type of this object, in CamelCase."),
} as const;

/** `apiVersion` and `kind`, as every object has them. */
export const typeMeta: Readonly<Record<string, JsonSchema>> = TYPE_META;

/** The shared types by name. Field for field those of `k8s.io/apimachinery`, so that every client can decode and check them. */
export const metaDefinitions: Readonly<Record<string, JsonSchema>> = {
  [OBJECT_META]: {
    type: "object",
    description: "What every object has besides its own fields.",
    properties: {
      annotations: stringMap("Data that tools keep with the object; nothing selects by it."),
      creationTimestamp: time("When the server made the object. Set by the server."),
      deletionGracePeriodSeconds: int64("How long the object may take to end. Set by the server."),
      deletionTimestamp: time(
        "When the object is to be gone. Set by the server once its deletion was asked for.",
      ),
      finalizers: {
        ...strings("Names of those who must still do something before the object may be removed."),
        "x-kubernetes-list-type": "set",
      },
      generateName: string("The start of a name that the server completes. Used when name is empty."),
      generation: int64("Counts the changes of what is wanted. Set by the server."),
      labels: stringMap("Keys and values that objects are found and grouped by."),
      managedFields: {
        type: "array",
        items: { "x-lanyard-ref": MANAGED_FIELDS_ENTRY },
        description: "Which client set which fields.",
        "x-kubernetes-list-type": "atomic",
      },
      name: string("The name, unique among the objects of this kind."),
      namespace: string("The namespace of the object; empty for kinds that belong to the whole cluster."),
      ownerReferences: {
        type: "array",
        items: { "x-lanyard-ref": OWNER_REFERENCE },
        description: "The objects that this one goes away with.",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["uid"],
      },
      resourceVersion: string(
        "Changes with every write; to be compared for equality only. Set by the server.",
      ),
      selfLink: string("Not used any more."),
      uid: string("Tells this object from all others there ever were. Set by the server."),
    },
  },
  [LIST_META]: {
    type: "object",
    description: "What every list has besides its items.",
    properties: {
      continue: string("Given back with the next request, it fetches what did not fit into this answer."),
      remainingItemCount: int64("How many items did not fit into this answer, where that is known."),
      resourceVersion: string("The state that this list shows."),
      selfLink: string("Not used any more."),
    },
  },
  [OWNER_REFERENCE]: {
    type: "object",
    description: "Names an object that owns this one.",
    required: ["apiVersion", "kind", "name", "uid"],
    properties: {
      apiVersion: string("The group and version of the owner."),
      blockOwnerDeletion: boolean(
        "Whether the owner waits for this object when it is deleted in the foreground.",
      ),
      controller: boolean("Whether the owner is the controller that manages this object."),
      kind: string("The kind of the owner."),
      name: string("The name of the owner."),
      uid: string("The UID of the owner."),
    },
  },
  [MANAGED_FIELDS_ENTRY]: {
    type: "object",
    description: "The fields that one client set in one way.",
    properties: {
      apiVersion: string("The version of the object that the field names belong to."),
      fieldsType: string("The format of the field set; there is one, FieldsV1."),
      fieldsV1: ref(FIELDS_V1, "The field set."),
      manager: string("The name of the client."),
      operation: string("How the fields were set: Apply or Update."),
      subresource: string("The subresource they were set through; empty for the object itself."),
      time: time("When the set last changed."),
    },
  },
  [FIELDS_V1]: {
    type: "object",
    description: "A set of fields as a tree of keys.",
  },
  [API_RESOURCE_LIST]: {
    type: "object",
    description: "The resources of one group and version.",
    required: ["groupVersion", "resources"],
    properties: {
      ...TYPE_META,
      groupVersion: string("The group and version."),
      resources: {
        type: "array",
        items: { "x-lanyard-ref": API_RESOURCE },
        description: "The resources.",
        "x-kubernetes-list-type": "atomic",
      },
    },
  },
  [API_RESOURCE]: {
    type: "object",
    description: "One resource: its names, and what can be done with it.",
    required: ["name", "singularName", "namespaced", "kind", "verbs"],
    properties: {
      categories: strings("Names under which several resources are listed together."),
      group: string("The group of the kind, where it differs from that of the list."),
      kind: string("The kind of its objects."),
      name: string("The plural name, as in URLs."),
      namespaced: boolean("Whether its objects live in namespaces."),
      shortNames: strings("Shorter names for it."),
      singularName: string("The name of one object, in lower case."),
      storageVersionHash: string("Changes with the version that its objects are stored in."),
      verbs: strings("What can be done with it."),
      version: string("The version of the kind, where it differs from that of the list."),
    },
  },
};
