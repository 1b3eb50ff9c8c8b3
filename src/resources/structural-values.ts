import type { JsonSchema } from "./schema.ts";

type Json = Readonly<Record<string, unknown>>;

/** What {@link prune} found. */
export interface PrunedValue {
  readonly value: unknown;
  /** Paths of the fields that were dropped, as `spec.list[0].field`. */
  readonly unknown: readonly string[];
}

/**
 * Drops the fields that the schema does not have, and null where the schema does not allow it, as the kube-apiserver does before it
 * looks at a custom resource.
 */
export function prune(value: unknown, schema: JsonSchema, path = ""): PrunedValue {
  if (Array.isArray(value) && schema.items !== undefined) {
    const items = schema.items;
    const pruned = value.map((item, index) => prune(item, items, `${path}[${index}]`));
    return { value: pruned.map((item) => item.value), unknown: pruned.flatMap((item) => item.unknown) };
  }
  if (!isObject(value)) {
    return { value, unknown: [] };
  }
  const kept: [string, unknown][] = [];
  const unknown: string[] = [];
  for (const [name, field] of Object.entries(value)) {
    const fieldSchema = fieldOf(schema, name);
    const fieldPath = joinPath(path, name);
    if (fieldSchema === undefined) {
      unknown.push(fieldPath);
    } else if (field !== null || fieldSchema.nullable === true) {
      const pruned = prune(field, fieldSchema, fieldPath);
      kept.push([name, pruned.value]);
      unknown.push(...pruned.unknown);
    }
  }
  return { value: Object.fromEntries(kept), unknown };
}

/** Fills absent fields with their defaults, outside in. */
export function applyDefaults(value: unknown, schema: JsonSchema): unknown {
  if (Array.isArray(value) && schema.items !== undefined) {
    const items = schema.items;
    return value.map((item) => applyDefaults(item, items));
  }
  if (!isObject(value)) {
    return value;
  }
  const filled: Record<string, unknown> = { ...value };
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    if (filled[name] === undefined && field.default !== undefined) {
      filled[name] = structuredClone(field.default);
    }
  }
  return Object.fromEntries(
    Object.entries(filled).map(([name, field]) => {
      const fieldSchema = fieldOf(schema, name);
      return [name, fieldSchema === undefined ? field : applyDefaults(field, fieldSchema)];
    }),
  );
}

/** `a.b`, or `b` at the root. */
export function joinPath(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

function fieldOf(schema: JsonSchema, name: string): JsonSchema | undefined {
  const properties = schema.properties ?? {};
  return Object.hasOwn(properties, name) ? properties[name] : schema.additionalProperties;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
