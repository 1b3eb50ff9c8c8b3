import type { Type as TypeBox } from "typebox";

/**
 * The seven of TypeBox's builders that the kinds use, with TypeBox's own types and the same JSON. The library itself takes
 * 20 MB and 0.15 s at start in a server that never validates with it, so it stays what it is best at: types.
 */
export const Type = {
  Object: (properties: Schemas, options: object = {}) => {
    const required = Object.keys(properties).filter((name) => !isOptional(properties[name]));
    return { type: "object", ...(required.length === 0 ? {} : { required }), properties, ...options };
  },
  Array: (items: object, options: object = {}) => ({ type: "array", items, ...options }),
  Boolean: (options: object = {}) => ({ type: "boolean", ...options }),
  Integer: (options: object = {}) => ({ type: "integer", ...options }),
  String: (options: object = {}) => ({ type: "string", ...options }),
  Unsafe: (schema: object) => ({ ...schema }),
  Optional: (schema: object) =>
    // Not enumerable: it says something about the field, and is no part of its schema.
    Object.defineProperty({ ...schema }, OPTIONAL, { value: true }),
} as unknown as Pick<
  typeof TypeBox,
  "Object" | "Array" | "Boolean" | "Integer" | "String" | "Unsafe" | "Optional"
>;

type Schemas = Readonly<Record<string, object>>;

const OPTIONAL = "~optional";

function isOptional(schema: object | undefined): boolean {
  return schema !== undefined && OPTIONAL in schema;
}
