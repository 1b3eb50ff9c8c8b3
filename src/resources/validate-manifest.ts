import { Ajv } from "ajv";
import type { ErrorObject, ValidateFunction } from "ajv";
import {
  defaultApiGroupSuffix,
  dns1123SubdomainErrors,
  replaceApiGroupSuffix,
} from "../kube/api-group-suffix.ts";
import type { KubernetesObject } from "../kube/objects.ts";
import { structuralSchema } from "./crd.ts";
import type { ResourceKind } from "./kind.ts";
import { resourceKinds } from "./kinds.ts";
import type { JsonSchema } from "./schema.ts";
import { applyDefaults, joinPath, prune } from "./structural-values.ts";

/** What the kube-apiserver would say to a manifest, and make of it. */
export interface ManifestValidation {
  /** Each as one cause in the kube-apiserver's error: `spec.issuer: Required value`. Empty: the object is valid. */
  readonly errors: readonly string[];
  /** `unknown field "spec.x"`, one per field that was dropped. */
  readonly warnings: readonly string[];
  /** The object without unknown fields and with defaults; the given one when its kind is not known. */
  readonly object: KubernetesObject;
}

/**
 * Checks a manifest of one of our kinds as the kube-apiserver checks it against the CRD, for objects that never pass through one
 * (standalone mode). Drops unknown fields, applies defaults, then validates; `metadata` is checked for its name alone.
 */
export function validateManifest(
  object: KubernetesObject,
  apiGroupSuffix: string = defaultApiGroupSuffix,
): ManifestValidation {
  const kind = resourceKinds.find(
    ({ resource }) =>
      resource.kind === object.kind &&
      `${replaceApiGroupSuffix(resource.group, apiGroupSuffix)}/${resource.version}` === object.apiVersion,
  );
  if (kind === undefined) {
    const errors = [`no matches for kind "${object.kind}" in version "${object.apiVersion}"`];
    return { errors, warnings: [], object };
  }
  const { schema, validate } = validatorOf(kind);
  // The bare schema of metadata would drop everything in it.
  const { metadata, ...fields } = object;
  const pruned = prune(fields, schema);
  const body = applyDefaults(pruned.value, schema) as Omit<KubernetesObject, "metadata">;
  const errors = nameErrors(metadata);
  if (!validate(body)) {
    errors.push(...firstStringErrors(validate.errors ?? []).flatMap((error) => causeOf(error)));
  }
  errors.push(...duplicateEntries(body, schema, ""));
  return {
    errors,
    warnings: pruned.unknown.map((path) => `unknown field "${path}"`),
    object: { ...body, metadata },
  };
}

const validators = new Map<ResourceKind, { schema: JsonSchema; validate: ValidateFunction }>();

function validatorOf(kind: ResourceKind): { schema: JsonSchema; validate: ValidateFunction } {
  const known = validators.get(kind);
  if (known !== undefined) {
    return known;
  }
  const ajv = new Ajv({ allErrors: true, verbose: true, strict: false, validateFormats: true });
  ajv.addFormat("date-time", isDateTime);
  ajv.addFormat("int32", {
    type: "number",
    validate: (value) => Number.isInteger(value) && value === (value | 0),
  });
  ajv.addFormat("int64", { type: "number", validate: (value) => Number.isSafeInteger(value) });
  const schema = structuralSchema(kind.schema, { extensions: true });
  const created = { schema, validate: ajv.compile(schema) };
  validators.set(kind, created);
  return created;
}

/** RFC 3339 section 5.6. */
function isDateTime(text: string): boolean {
  return (
    /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/.test(text) &&
    !Number.isNaN(Date.parse(text))
  );
}

function nameErrors(metadata: unknown): string[] {
  const name = (metadata as { readonly name?: unknown } | null | undefined)?.name;
  if (name === undefined || name === "") {
    return ["metadata.name: Required value: name or generateName is required"];
  }
  if (typeof name !== "string") {
    return [`metadata.name: Invalid value: ${JSON.stringify(name)}: must be a string`];
  }
  return dns1123SubdomainErrors(name).map(
    (text) => `metadata.name: Invalid value: ${JSON.stringify(name)}: ${text}`,
  );
}

const STRING_RULES: readonly string[] = ["maxLength", "minLength", "pattern"];

/** The kube-apiserver names only the first of these rules that a text breaks. */
function firstStringErrors(errors: readonly ErrorObject[]): ErrorObject[] {
  const rank = ({ keyword }: ErrorObject): number => STRING_RULES.indexOf(keyword);
  return errors.filter(
    (error) =>
      !errors.some(
        (other) => other.instancePath === error.instancePath && rank(other) >= 0 && rank(other) < rank(error),
      ),
  );
}

/** The kube-apiserver's words for one failed rule (`k8s.io/kube-openapi/pkg/validation/errors`). */
function causeOf(error: ErrorObject): string[] {
  const path = kubernetesPath(error.instancePath);
  const value = JSON.stringify(error.data);
  const invalid = (text: string): string[] => [`${path}: Invalid value: ${value}: ${path} in body ${text}`];
  const params = error.params as Readonly<Record<string, unknown>>;
  switch (error.keyword) {
    case "required":
      return [`${joinPath(path, String(params["missingProperty"]))}: Required value`];
    case "type": {
      const found = `"${typeName(error.data)}"`;
      return [
        `${path}: Invalid value: ${found}: ${path} in body must be of type ${String(params["type"])}: ${found}`,
      ];
    }
    case "enum": {
      // A value of the wrong type already has an error that says so.
      if (typeof error.data !== "string") {
        return [];
      }
      const values = (params["allowedValues"] as readonly string[]).map((allowed) => `"${allowed}"`);
      return [`${path}: Unsupported value: ${value}: supported values: ${values.join(", ")}`];
    }
    case "minLength":
      return invalid(`should be at least ${String(params["limit"])} chars long`);
    case "maxLength":
      return [`${path}: Too long: may not be more than ${String(params["limit"])} bytes`];
    case "maxItems":
      return [
        `${path}: Too many: ${(error.data as readonly unknown[]).length}: must have at most ${String(params["limit"])} items`,
      ];
    case "pattern":
      return invalid(`should match '${String(params["pattern"])}'`);
    case "minimum":
      return invalid(`should be greater than or equal to ${String(params["limit"])}`);
    case "maximum":
      return invalid(`should be less than or equal to ${String(params["limit"])}`);
    case "format":
      return invalid(`must be of type ${String(params["format"])}: ${value}`);
    default:
      return invalid(error.message ?? error.keyword);
  }
}

function typeName(value: unknown): string {
  if (value === null) {
    return "null";
  }
  if (Array.isArray(value)) {
    return "array";
  }
  return typeof value === "number" ? (Number.isInteger(value) ? "integer" : "number") : typeof value;
}

/** `/spec/list/0/a~1b` as `spec.list[0].a/b`. */
function kubernetesPath(pointer: string): string {
  return pointer
    .split("/")
    .slice(1)
    .map((segment) => segment.replaceAll("~1", "/").replaceAll("~0", "~"))
    .reduce((path, segment) => (/^\d+$/.test(segment) ? `${path}[${segment}]` : joinPath(path, segment)), "");
}

/** Lists with `x-kubernetes-list-type: map` hold each key once. */
function duplicateEntries(value: unknown, schema: JsonSchema, path: string): string[] {
  if (Array.isArray(value)) {
    const items = schema.items ?? {};
    const keys = schema["x-kubernetes-list-map-keys"] ?? [];
    const seen = new Set<string>();
    return value.flatMap((item: unknown, index) => {
      const entryPath = `${path}[${index}]`;
      const below = duplicateEntries(item, items, entryPath);
      if (keys.length === 0 || typeof item !== "object" || item === null) {
        return below;
      }
      const key = JSON.stringify(
        Object.fromEntries(keys.map((name) => [name, (item as Readonly<Record<string, unknown>>)[name]])),
      );
      const duplicate = seen.has(key);
      seen.add(key);
      return duplicate ? [`${entryPath}: Duplicate value: ${key}`, ...below] : below;
    });
  }
  if (typeof value !== "object" || value === null) {
    return [];
  }
  return Object.entries(value).flatMap(([name, field]) => {
    const properties = schema.properties ?? {};
    return Object.hasOwn(properties, name)
      ? duplicateEntries(field, properties[name] ?? {}, joinPath(path, name))
      : [];
  });
}
