import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Type } from "./type.ts";
import type { TSchema } from "typebox";
import { resourceKinds } from "./kinds.ts";
import { metaDefinitions } from "./openapi-meta.ts";
import { extension, fieldPaths, selectSchema, stringEnum } from "./schema.ts";
import type { JsonSchema } from "./schema.ts";

describe("fields of the Pinniped API", () => {
  const expected: Readonly<Record<string, number>> = {
    TokenCredentialRequest: 16,
    WhoAmIRequest: 12,
    JWTAuthenticator: 24,
    WebhookAuthenticator: 20,
    CredentialIssuer: 29,
  };
  const plainPaths = (schema: JsonSchema): readonly string[] =>
    fieldPaths(selectSchema(schema, { extensions: false }));

  for (const { resource, schema } of resourceKinds) {
    it(`${resource.kind} has as many as the contract says`, () => {
      assert.equal(plainPaths(schema).length, expected[resource.kind]);
    });
  }

  it("are 101 in all", () => {
    assert.equal(resourceKinds.flatMap(({ schema }) => plainPaths(schema)).length, 101);
  });

  it("are listed by path, through lists and not into metadata", () => {
    const issuer = resourceKinds.find(({ resource }) => resource.kind === "CredentialIssuer");
    const paths = plainPaths(issuer!.schema);
    assert.ok(paths.includes("status.strategies.frontend.tokenCredentialRequestInfo.server"));
    assert.ok(paths.includes("metadata"));
    assert.ok(!paths.some((path) => path.startsWith("metadata.")));
  });
});

describe("descriptions", () => {
  const undescribed = (schema: JsonSchema, path: string): string[] =>
    Object.entries(schema.properties ?? {}).flatMap(([name, field]) => [
      ...((field.description ?? "").trim() === "" ? [`${path}.${name}`] : []),
      ...undescribed(field.items ?? field, `${path}.${name}`),
    ]);

  it("are on every type and field", () => {
    const types: readonly [string, JsonSchema][] = [
      ...resourceKinds.map(({ resource, schema }) => [resource.kind, schema] as const),
      ...Object.entries(metaDefinitions),
    ].map(([name, schema]) => [name, schema]);
    for (const [name, schema] of types) {
      assert.notEqual((schema.description ?? "").trim(), "", name);
      assert.deepEqual(undescribed(schema, name), []);
    }
  });
});

describe("additive fields", () => {
  const schema: TSchema = Type.Object({
    kept: Type.String({ description: "stays" }),
    added: Type.Optional(extension(Type.String({ description: "ours" }))),
    list: Type.Array(
      Type.Object({ deep: Type.Optional(extension(Type.Integer({ description: "ours, too" }))) }),
    ),
    choice: stringEnum(["a", "b", "c"], { description: "a choice", extensionValues: ["b"] }),
  });

  it("are left out with extensions off, in lists and enums too", () => {
    const plain = selectSchema(schema, { extensions: false });
    assert.deepEqual(fieldPaths(plain), ["kept", "list", "choice"]);
    assert.deepEqual(plain.properties?.["choice"]?.enum, ["a", "c"]);
    assert.deepEqual(plain.required, ["kept", "list", "choice"]);
  });

  it("are there with extensions on, without our marks", () => {
    const extended = selectSchema(schema, { extensions: true });
    assert.deepEqual(fieldPaths(extended), ["kept", "added", "list", "list.deep", "choice"]);
    assert.deepEqual(extended.properties?.["choice"]?.enum, ["a", "b", "c"]);
    assert.doesNotMatch(JSON.stringify(extended), /x-lanyard/);
  });
});
