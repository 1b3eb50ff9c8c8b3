import assert from "node:assert/strict";
import { test } from "node:test";
import { Type as TypeBox } from "typebox";
import { Type } from "./type.ts";

test("the builders give the very JSON that TypeBox gives", () => {
  const schemaBy = (type: typeof Type): string =>
    JSON.stringify(
      type.Object(
        {
          name: type.String({ description: "d", minLength: 1, pattern: "^https://" }),
          count: type.Optional(type.Integer({ minimum: 0, format: "int64" })),
          flag: type.Optional(type.Boolean({ description: "f" })),
          list: type.Array(type.Object({ only: type.Optional(type.String()) }), { maxItems: 3 }),
          map: type.Optional(
            type.Unsafe<Record<string, string>>({ type: "object", additionalProperties: {} }),
          ),
        },
        { description: "o", "x-kubernetes-list-type": "map" },
      ),
    );
  assert.equal(schemaBy(Type), schemaBy(TypeBox));
  assert.match(schemaBy(Type), /"required":\["name","list"\]/);
});
