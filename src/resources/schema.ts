import { Type } from "./type.ts";
import type { Static, TSchema } from "typebox";

/** A JSON Schema node as the kinds of this folder use it: the subset that CRD structural schemas and OpenAPI share. */
export interface JsonSchema {
  readonly type?: string;
  readonly format?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly nullable?: boolean;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxItems?: number;
  readonly "x-kubernetes-list-type"?: string;
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
  /** Rules that the kube-apiserver evaluates (`apiextensions.k8s.io/v1 ValidationRule`). */
  readonly "x-kubernetes-validations"?: readonly ValidationRule[];
  /** The full name of an OpenAPI definition that stands for this node; CRDs do not use it. */
  readonly "x-lanyard-ref"?: string;
  /** True on a field that the Pinniped API does not have (design.md section 5). */
  readonly "x-lanyard-extension"?: boolean;
  /** Values of `enum` that the Pinniped API does not have. */
  readonly "x-lanyard-extension-values"?: readonly string[];
  /** Rules about additive fields on a node that the Pinniped API has; they come and go with those fields. */
  readonly "x-lanyard-extension-validations"?: readonly ValidationRule[];
}

/** A rule in CEL and what to tell whoever breaks it. */
export interface ValidationRule {
  readonly rule: string;
  readonly message: string;
}

type DeepReadonly<T> = T extends readonly (infer E)[]
  ? readonly DeepReadonly<E>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;

/** The TypeScript type of a schema; read-only all the way down, as cached objects are shared. */
export type TypeOf<S extends TSchema> = DeepReadonly<Static<S>>;

/** A string that must be one of `values`. */
export function stringEnum<const V extends readonly string[]>(
  values: V,
  options: {
    readonly description: string;
    readonly default?: V[number];
    readonly extensionValues?: readonly V[number][];
  },
) {
  const { extensionValues, ...rest } = options;
  return Type.Unsafe<V[number]>({
    type: "string",
    enum: [...values],
    ...rest,
    ...(extensionValues === undefined ? {} : { "x-lanyard-extension-values": [...extensionValues] }),
  });
}

/** A map from string to string. */
export function stringMap(options: { readonly description: string }) {
  return Type.Unsafe<Record<string, string>>({
    type: "object",
    additionalProperties: { type: "string" },
    ...options,
  });
}

/** Marks an optional field as one that Lanyard adds, so that `extensions.enabled: false` leaves it out (clarifications.md 1). */
export function extension<S extends TSchema>(schema: S): S {
  return { ...schema, "x-lanyard-extension": true };
}

/** What the generators are asked for. */
export interface SchemaOptions {
  /** False leaves the additive fields and values out. */
  readonly extensions: boolean;
}

/** The schema without the nodes that `options` excludes and without our own marks on additive parts. */
export function selectSchema(schema: JsonSchema, options: SchemaOptions): JsonSchema {
  const {
    "x-lanyard-extension": _mark,
    "x-lanyard-extension-values": extensionValues = [],
    "x-lanyard-extension-validations": extensionValidations = [],
    "x-kubernetes-validations": validations = [],
    properties,
    required,
    items,
    additionalProperties,
    enum: values,
    ...rest
  } = schema;
  const kept =
    properties === undefined
      ? undefined
      : Object.entries(properties).filter(
          ([, property]) => options.extensions || property["x-lanyard-extension"] !== true,
        );
  const names = new Set(kept?.map(([name]) => name));
  const rules = [...validations, ...(options.extensions ? extensionValidations : [])];
  const stillRequired = required?.filter((name) => names.has(name)) ?? [];
  return {
    ...rest,
    ...(values === undefined
      ? {}
      : { enum: values.filter((value) => options.extensions || !extensionValues.includes(value)) }),
    ...(items === undefined ? {} : { items: selectSchema(items, options) }),
    ...(additionalProperties === undefined
      ? {}
      : { additionalProperties: selectSchema(additionalProperties, options) }),
    ...(kept === undefined
      ? {}
      : {
          properties: Object.fromEntries(
            kept.map(([name, property]) => [name, selectSchema(property, options)]),
          ),
        }),
    ...(stillRequired.length === 0 ? {} : { required: stillRequired }),
    ...(rules.length === 0 ? {} : { "x-kubernetes-validations": rules }),
  };
}

/**
 * The paths of all fields as `kubectl explain --recursive` lists them: objects, lists and maps are walked through,
 * `metadata` is not.
 */
export function fieldPaths(schema: JsonSchema, prefix = ""): string[] {
  const object = schema.items ?? schema.additionalProperties ?? schema;
  return Object.entries(object.properties ?? {}).flatMap(([name, property]) => {
    const path = prefix === "" ? name : `${prefix}.${name}`;
    return [path, ...fieldPaths(property, path)];
  });
}
