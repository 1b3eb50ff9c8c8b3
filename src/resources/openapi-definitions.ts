import { API_VERSION, definitionName } from "./kind.ts";
import type { AggregatedKind } from "./kind.ts";
import { LIST_META, metaDefinitions, typeMeta } from "./openapi-meta.ts";
import { selectSchema } from "./schema.ts";
import type { JsonSchema, SchemaOptions } from "./schema.ts";

/** OpenAPI 2 and 3 differ in how they write references, and only 3 knows null. */
export type OpenApiVersion = 2 | 3;

/** A schema in a document: as {@link JsonSchema}, with references. */
export type OpenApiSchema = Readonly<Record<string, unknown>>;

/** How a document of this version points at a definition. */
export function reference(name: string, version: OpenApiVersion): string {
  return version === 2 ? `#/definitions/${name}` : `#/components/schemas/${name}`;
}

/**
 * The definitions of the kinds of one group, of their lists and of the shared types they use, by name. `roots` names more shared
 * types to include.
 */
export function openApiDefinitions(
  group: string,
  kinds: readonly AggregatedKind[],
  version: OpenApiVersion,
  options: SchemaOptions,
  roots: readonly string[],
): Readonly<Record<string, OpenApiSchema>> {
  const definitions = new Map<string, OpenApiSchema>();

  const includeShared = (name: string): void => {
    const schema = metaDefinitions[name];
    if (schema !== undefined && !definitions.has(name)) {
      // Set before its fields are walked, which may come back to it.
      definitions.set(name, {});
      definitions.set(name, render(schema));
    }
  };

  const render = (schema: JsonSchema): OpenApiSchema => {
    const { "x-lanyard-ref": ref, nullable, properties, items, additionalProperties, ...rest } = schema;
    if (ref !== undefined) {
      includeShared(ref);
      const site = {
        ...(schema.description === undefined ? {} : { description: schema.description }),
        default: {},
      };
      const target = { $ref: reference(ref, version) };
      return version === 2 ? { ...site, ...target } : { ...site, allOf: [target] };
    }
    return {
      ...rest,
      ...(nullable === true && version === 3 ? { nullable } : {}),
      ...(items === undefined ? {} : { items: render(items) }),
      ...(additionalProperties === undefined ? {} : { additionalProperties: render(additionalProperties) }),
      ...(properties === undefined
        ? {}
        : {
            properties: Object.fromEntries(
              Object.entries(properties).map(([name, property]) => [name, render(property)]),
            ),
          }),
    };
  };

  const define = (kind: string, schema: JsonSchema): void => {
    definitions.set(definitionName(group, kind), {
      ...render(schema),
      "x-kubernetes-group-version-kind": [{ group, version: API_VERSION, kind }],
    });
  };

  for (const { resource, listKind, schema } of kinds) {
    define(resource.kind, selectSchema(schema, options));
    define(listKind, listSchema(group, resource.kind));
  }
  for (const name of roots) {
    includeShared(name);
  }
  return Object.fromEntries([...definitions].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function listSchema(group: string, kind: string): JsonSchema {
  return {
    type: "object",
    description: `A list of objects of kind ${kind}.`,
    required: ["items"],
    properties: {
      ...typeMeta,
      items: {
        type: "array",
        items: { "x-lanyard-ref": definitionName(group, kind) },
        description: "The objects of the list.",
      },
      metadata: { "x-lanyard-ref": LIST_META, description: "What belongs to the list as a whole." },
    },
  };
}
