import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { openApiHash, openApiV2, openApiV3, openApiV3Index } from "./openapi.ts";

type Node = Readonly<Record<string, unknown>>;

const at = (document: unknown, ...path: readonly string[]): unknown =>
  path.reduce((node: unknown, name) => (node as Node | undefined)?.[name], document);

/** Every `$ref` in a document. */
const references = (node: unknown): string[] => {
  if (Array.isArray(node)) {
    return node.flatMap((each) => references(each));
  }
  return typeof node === "object" && node !== null
    ? Object.entries(node).flatMap(([name, each]) =>
        name === "$ref" && typeof each === "string" ? [each] : references(each),
      )
    : [];
};

const login = "login.concierge.pinniped.dev";
const identity = "identity.concierge.pinniped.dev";

describe("openApiV2", () => {
  const document = openApiV2();
  const definitions = document["definitions"] as Readonly<Record<string, Node>>;

  it("has both kinds and their lists, each with its group, version and kind", () => {
    for (const [group, kind] of [
      [login, "TokenCredentialRequest"],
      [login, "TokenCredentialRequestList"],
      [identity, "WhoAmIRequest"],
      [identity, "WhoAmIRequestList"],
    ] as const) {
      const name = `${group.split(".").toReversed().join(".")}.v1alpha1.${kind}`;
      assert.deepEqual(definitions[name]?.["x-kubernetes-group-version-kind"], [
        { group, version: "v1alpha1", kind },
      ]);
    }
  });

  it("has list and create for each, and the resource lists, and nothing else", () => {
    const paths = document["paths"] as Readonly<Record<string, Node>>;
    assert.deepEqual(Object.keys(paths), [
      `/apis/${identity}/v1alpha1/`,
      `/apis/${identity}/v1alpha1/whoamirequests`,
      `/apis/${login}/v1alpha1/`,
      `/apis/${login}/v1alpha1/tokencredentialrequests`,
    ]);
    const collection = paths[`/apis/${login}/v1alpha1/tokencredentialrequests`];
    assert.deepEqual(Object.keys(collection ?? {}), ["get", "post", "parameters"]);
    const kind = { group: login, version: "v1alpha1", kind: "TokenCredentialRequest" };
    for (const [method, action] of [
      ["get", "list"],
      ["post", "post"],
    ] as const) {
      assert.equal(at(collection, method, "x-kubernetes-action"), action);
      assert.deepEqual(at(collection, method, "x-kubernetes-group-version-kind"), kind);
    }
    assert.equal(
      at(collection, "post", "operationId"),
      "createLoginConciergePinnipedDevV1alpha1TokenCredentialRequest",
    );
  });

  it("refers only to what it defines, and holds no word that Swagger 2 does not know", () => {
    for (const reference of references(document)) {
      assert.ok(reference.startsWith("#/definitions/"), reference);
      assert.ok(definitions[reference.slice("#/definitions/".length)], reference);
    }
    assert.doesNotMatch(JSON.stringify(document), /nullable|x-lanyard/);
  });

  it("follows the suffix in every name", () => {
    assert.doesNotMatch(JSON.stringify(openApiV2({ apiGroupSuffix: "auth.example.com" })), /pinniped/i);
  });
});

describe("openApiV3", () => {
  it("has one document per group and version, complete in itself", () => {
    const documents = openApiV3();
    assert.deepEqual([...documents.keys()], [`apis/${identity}/v1alpha1`, `apis/${login}/v1alpha1`]);
    for (const document of documents.values()) {
      for (const reference of references(document)) {
        assert.ok(reference.startsWith("#/components/schemas/"), reference);
        assert.ok(
          at(document, "components", "schemas", reference.slice("#/components/schemas/".length)),
          reference,
        );
      }
    }
    const name = "dev.pinniped.concierge.login.v1alpha1.TokenCredentialRequest";
    const group = at(
      documents.get(`apis/${login}/v1alpha1`),
      ...[
        "components",
        "schemas",
        name,
        "properties",
        "spec",
        "properties",
        "authenticator",
        "properties",
        "apiGroup",
      ],
    );
    assert.equal(at(group, "nullable"), true);
  });

  it("is indexed by a hash that changes with the content alone", () => {
    const index = (suffix?: string) =>
      openApiV3Index(openApiV3(suffix === undefined ? {} : { apiGroupSuffix: suffix }));
    assert.deepEqual(index(), index());
    const url = at(index(), "paths", `apis/${login}/v1alpha1`, "serverRelativeURL");
    assert.match(
      String(url),
      /^\/openapi\/v3\/apis\/login\.concierge\.pinniped\.dev\/v1alpha1\?hash=[0-9A-F]{64}$/,
    );
    assert.notEqual(openApiHash({ a: 1 }), openApiHash({ a: 2 }));
  });
});
