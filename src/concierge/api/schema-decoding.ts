import type { JsonSchema } from "../../resources/schema.ts";

const text: JsonSchema = { type: "string" };
const textMap: JsonSchema = { type: "object", additionalProperties: text };
const texts: JsonSchema = { type: "array", items: text };

/** `metav1.ObjectMeta`, for finding unknown fields; our kinds use its `name` only. */
const objectMeta: JsonSchema = {
  type: "object",
  properties: {
    name: text,
    generateName: text,
    namespace: text,
    selfLink: text,
    uid: text,
    resourceVersion: text,
    generation: { type: "integer" },
    creationTimestamp: text,
    deletionTimestamp: text,
    deletionGracePeriodSeconds: { type: "integer" },
    labels: textMap,
    annotations: textMap,
    finalizers: texts,
    ownerReferences: {
      type: "array",
      items: {
        type: "object",
        properties: {
          apiVersion: text,
          kind: text,
          name: text,
          uid: text,
          controller: { type: "boolean" },
          blockOwnerDeletion: { type: "boolean" },
        },
      },
    },
    managedFields: { type: "array", items: { type: "object" } },
  },
};

/**
 * The kind's schema with `metadata` spelled out. Additive fields may hold anything here: what is wrong with one is said by the
 * kind's own validation, as a 422 with a cause (S7).
 */
export function decodingSchema(schema: JsonSchema): JsonSchema {
  const { properties } = withoutExtensionTypes(schema);
  return { ...schema, properties: { ...properties, metadata: objectMeta } };
}

function withoutExtensionTypes(node: JsonSchema): JsonSchema {
  if (node["x-lanyard-extension"] === true) {
    return {};
  }
  const { properties } = node;
  if (properties === undefined) {
    return node;
  }
  const entries = Object.entries(properties).map(([name, child]) => [name, withoutExtensionTypes(child)]);
  return { ...node, properties: Object.fromEntries(entries) as Readonly<Record<string, JsonSchema>> };
}

export interface SchemaFindings {
  /** Paths of fields that the type does not have, in the order of the body. */
  readonly unknownFields: readonly string[];
  /** The first value of a wrong type, in the words of Go's `encoding/json`. */
  readonly typeError: string | undefined;
}

const MAXIMUM_FOUND = 100;

/**
 * Compares a parsed body with its type as a strict decoder does; null stands for an absent value everywhere. `kind` names
 * the type in errors.
 */
export function compareWithSchema(kind: string, schema: JsonSchema, value: unknown): SchemaFindings {
  const unknownFields: string[] = [];
  let typeError: string | undefined;

  /** `parent` is the path of the object that holds the part; the kind itself has none. */
  const visit = (node: JsonSchema, part: unknown, path: string, parent: string | undefined): void => {
    if (part === null || part === undefined || typeError !== undefined) {
      return;
    }
    if (!matches(node, part)) {
      const owner = parent === undefined ? kind : typeName(kind, parent);
      typeError = `json: cannot unmarshal ${jsonTypeOf(part)} into Go struct field ${owner}.${path} of type ${goTypeOf(node)}`;
      return;
    }
    if (node.items !== undefined) {
      for (const [index, item] of (part as unknown[]).entries()) {
        visit(node.items, item, `${path}[${index}]`, parent);
      }
      return;
    }
    if (typeof part !== "object") {
      return;
    }
    for (const [key, member] of Object.entries(part)) {
      const place = path === "" ? key : `${path}.${key}`;
      if (node.additionalProperties !== undefined) {
        visit(node.additionalProperties, member, place, parent);
      } else if (node.properties !== undefined && Object.hasOwn(node.properties, key)) {
        visit(node.properties[key] ?? {}, member, place, path === "" ? undefined : path);
      } else if (node.properties !== undefined && unknownFields.length < MAXIMUM_FOUND) {
        unknownFields.push(place);
      }
    }
  };
  visit(schema, value, "", undefined);
  return { unknownFields, typeError };
}

/** The type behind a path: the kind and the path in CamelCase, as the types of these APIs are called. */
function typeName(kind: string, path: string): string {
  return kind + path.replace(/(?:^|\.|\[\d+\])([a-z]?)/g, (_match, letter: string) => letter.toUpperCase());
}

function matches(node: JsonSchema, value: unknown): boolean {
  switch (node.type) {
    case "string":
      return typeof value === "string";
    case "boolean":
      return typeof value === "boolean";
    case "integer":
      return Number.isSafeInteger(value);
    case "array":
      return Array.isArray(value);
    case "object":
      return typeof value === "object" && !Array.isArray(value);
    default:
      return true;
  }
}

/** A value's type in Go's words. */
export function jsonTypeOf(value: unknown): string {
  if (Array.isArray(value)) {
    return "array";
  }
  switch (typeof value) {
    case "boolean":
      return "bool";
    case "number":
      return "number";
    case "string":
      return "string";
    default:
      return "object";
  }
}

function goTypeOf(node: JsonSchema): string {
  switch (node.type) {
    case "integer":
      return "int64";
    case "boolean":
      return "bool";
    case "array":
      return "[]string";
    case "object":
      return node.additionalProperties === undefined ? "struct" : "map[string]string";
    default:
      return "string";
  }
}
