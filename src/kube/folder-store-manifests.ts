import { Buffer } from "node:buffer";
import { parseAllDocuments } from "yaml";
import { messageOf } from "../errors.ts";
import type { KubernetesObject, ResourceType } from "./objects.ts";
import { keyText } from "./resource-path.ts";

/** What the schema of a kind says about an object. */
export interface ValidationResult {
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
  /** The object with its defaults filled in, when the schema has any. */
  readonly object?: KubernetesObject;
}

export type ValidateObject = (object: KubernetesObject) => ValidationResult;

/** One object as a manifest defines it: without status and without what a store adds. */
export interface ManifestObject {
  readonly resource: ResourceType<KubernetesObject>;
  readonly object: KubernetesObject;
}

export interface ParsedManifest {
  readonly objects: readonly ManifestObject[];
  /** Each names its document; with any of them the whole file counts as broken. */
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}

export interface ParseManifestOptions {
  readonly resources: readonly ResourceType<KubernetesObject>[];
  readonly validate: ValidateObject;
  /** For namespaced objects that name none. */
  readonly namespace: string;
}

/** Reads a YAML file of any number of documents; JSON is YAML. Empty documents are passed over. */
export function parseManifest(text: string, options: ParseManifestOptions): ParsedManifest {
  const objects: ManifestObject[] = [];
  const errors: string[] = [];
  const warnings: string[] = [];
  const seen = new Map<string, number>();
  const documents = parseAllDocuments(text, { uniqueKeys: true });
  for (const [index, document] of (Array.isArray(documents) ? documents : []).entries()) {
    const where = `document ${index + 1}: `;
    if (document.errors.length > 0) {
      errors.push(...document.errors.map((error) => where + firstLine(error.message)));
      continue;
    }
    try {
      const value: unknown = document.toJS({ maxAliasCount: 20 });
      if (value === null || value === undefined) {
        continue;
      }
      const { manifest, result } = readObject(value, options);
      errors.push(...result.errors.map((error) => where + error));
      warnings.push(...result.warnings.map((warning) => where + warning));
      const id = objectId(manifest);
      const before = seen.get(id);
      if (before !== undefined) {
        errors.push(`${where}${id} is defined in document ${before} already`);
      }
      seen.set(id, index + 1);
      objects.push(manifest);
    } catch (error) {
      errors.push(where + firstLine(messageOf(error)));
    }
  }
  return { objects, errors, warnings };
}

/** Names an object among all kinds, for people too: `JWTAuthenticator okta`, `Secret concierge/ca`. */
export function objectId(manifest: ManifestObject): string {
  return `${manifest.resource.kind} ${keyText(keyIn(manifest.object))}`;
}

/** A DNS-1123 subdomain: what Kubernetes takes as a name, and what can be a file's name without harm. */
export function isObjectName(name: unknown): name is string {
  return (
    typeof name === "string" &&
    name.length <= 253 &&
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(name)
  );
}

/** Fills in what an API server fills in for Secrets: `stringData` becomes `data`, the type has a default. */
export function normalizeObject(object: KubernetesObject): KubernetesObject {
  if (object.apiVersion !== "v1" || object.kind !== "Secret") {
    return object;
  }
  const { stringData, data, type, ...rest } = object as KubernetesObject & Readonly<Record<string, unknown>>;
  const values = stringMap(data, "data");
  for (const [key, value] of Object.entries(values)) {
    if (!/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(value)) {
      throw new TypeError(`data.${key} is not base64; plain text belongs into stringData`);
    }
  }
  for (const [key, value] of Object.entries(stringMap(stringData, "stringData"))) {
    values[key] = Buffer.from(value, "utf8").toString("base64");
  }
  const secret = { ...rest, type: type ?? "Opaque" };
  return Object.keys(values).length === 0 ? secret : Object.assign(secret, { data: values });
}

function readObject(
  value: unknown,
  options: ParseManifestOptions,
): { manifest: ManifestObject; result: ValidationResult } {
  if (!isRecord(value) || !isRecord(value["metadata"])) {
    throw new TypeError("not a Kubernetes object: apiVersion, kind and metadata are needed");
  }
  const { apiVersion, kind, metadata, status: _status, ...rest } = value;
  const resource = options.resources.find((each) => apiVersionOf(each) === apiVersion && each.kind === kind);
  if (resource === undefined) {
    const known = options.resources.map((each) => `${each.kind} (${apiVersionOf(each)})`).join(", ");
    throw new TypeError(`kind ${String(kind)} of ${String(apiVersion)} is not used here; used are ${known}`);
  }
  const { name, namespace, labels, annotations } = metadata;
  if (!isObjectName(name)) {
    throw new TypeError(`metadata.name of a ${resource.kind} is missing or not a DNS-1123 subdomain`);
  }
  if (!resource.namespaced && namespace !== undefined && namespace !== null) {
    throw new TypeError(`${resource.kind} ${name}: remove metadata.namespace, the kind is cluster-scoped`);
  }
  const place = namespace ?? options.namespace;
  if (resource.namespaced && !isObjectName(place)) {
    throw new TypeError(`${resource.kind} ${name}: metadata.namespace is not a DNS-1123 label`);
  }
  const object = normalizeObject({
    ...rest,
    apiVersion: apiVersionOf(resource),
    kind: resource.kind,
    metadata: {
      name,
      ...(resource.namespaced ? { namespace: place as string } : {}),
      ...(isEmpty(labels) ? {} : { labels: stringMap(labels, "metadata.labels") }),
      ...(isEmpty(annotations) ? {} : { annotations: stringMap(annotations, "metadata.annotations") }),
    },
  });
  const result = options.validate(object);
  const prefix = `${resource.kind} ${name}: `;
  return {
    manifest: { resource, object: result.object ?? object },
    result: {
      errors: result.errors.map((error) => prefix + error),
      warnings: result.warnings.map((warning) => prefix + warning),
    },
  };
}

/** `apiVersion` of a kind's objects. */
export function apiVersionOf(resource: ResourceType<KubernetesObject>): string {
  return resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
}

function keyIn(object: KubernetesObject): { name: string; namespace?: string } {
  const { name, namespace } = object.metadata;
  return namespace === undefined ? { name } : { name, namespace };
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null || (isRecord(value) && Object.keys(value).length === 0);
}

function stringMap(value: unknown, path: string): Record<string, string> {
  if (value === undefined || value === null) {
    return {};
  }
  if (!isRecord(value)) {
    throw new TypeError(`${path} is not a map`);
  }
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => {
      if (typeof each !== "string") {
        throw new TypeError(`${path}.${key} is not a string`);
      }
      return [key, each];
    }),
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The parser shows the offending lines after the first, and they may hold a Secret. */
function firstLine(message: string): string {
  return message.split("\n", 1)[0]?.replace(/:$/, "") ?? message;
}
