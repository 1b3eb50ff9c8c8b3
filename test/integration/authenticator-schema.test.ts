import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { startCluster } from "../../hack/cluster/cluster.ts";
import type { Cluster } from "../../hack/cluster/cluster.ts";
import { customResourceDefinition } from "../../src/resources/crd.ts";
import { jwtAuthenticatorKind } from "../../src/resources/jwt-authenticator.ts";
import { webhookAuthenticatorKind } from "../../src/resources/webhook-authenticator.ts";

const apiVersion = "authentication.concierge.pinniped.dev/v1alpha1";
const definitions = [jwtAuthenticatorKind, webhookAuthenticatorKind].map((kind) =>
  customResourceDefinition(kind),
);

const everything = {
  claims: {
    usernameExpression: "claims.sub",
    groupsExpression: "claims.roles",
    extra: [{ key: "example.com/team", valueExpression: "claims.team" }],
  },
  claimValidationRules: [
    { claim: "hd", requiredValue: "example.com" },
    { claim: "azp" },
    { expression: "claims.exp > 1", message: "no" },
    { expression: "claims.exp > 2" },
  ],
  userValidationRules: [{ expression: "user.username != 'a'", message: "no" }, { expression: "true" }],
  jwks: { maximumStaleSeconds: 0 },
};
const shared = {
  transforms: {
    constants: [
      { name: "a", type: "string", stringValue: "x" },
      { name: "b", type: "stringList", stringListValue: ["x", "y"] },
    ],
    expressions: [
      { type: "policy/v1", expression: "true", message: "no" },
      { type: "groups/v1", expression: "groups" },
    ],
    examples: [{ username: "jane", expects: { username: "jane" } }],
  },
  reservedIdentities: { allowedUsernames: ["system:foo"], allowedGroups: ["system:bar"] },
  credential: { maximumLifetimeSeconds: 60 },
};

const refusals: readonly (readonly [string, object, string])[] = [
  [
    "a claim and an expression for the username",
    { claims: { username: "a", usernameExpression: "claims.a" } },
    "username and usernameExpression cannot both be set",
  ],
  [
    "a claim and an expression for the groups",
    { claims: { groups: "a", groupsExpression: "claims.a" } },
    "groups and groupsExpression cannot both be set",
  ],
  [
    "a rule with a claim and an expression",
    { claimValidationRules: [{ claim: "a", expression: "true" }] },
    "exactly one of claim and expression must be set",
  ],
  [
    "a rule with neither",
    { claimValidationRules: [{ message: "m" }] },
    "exactly one of claim and expression must be set",
  ],
  [
    "a required value without a claim",
    { claimValidationRules: [{ expression: "true", requiredValue: "x" }] },
    "requiredValue can only be set together with claim",
  ],
  [
    "a message without an expression",
    { claimValidationRules: [{ claim: "a", message: "m" }] },
    "message can only be set together with expression",
  ],
  [
    "two rules for one claim",
    { claimValidationRules: [{ claim: "a" }, { claim: "a", requiredValue: "x" }] },
    "a claim can only have one rule",
  ],
  [
    "one expression twice",
    { claimValidationRules: [{ expression: "true" }, { expression: "true", message: "m" }] },
    "an expression can only be given once",
  ],
  [
    "one user rule twice",
    { userValidationRules: [{ expression: "true" }, { expression: "true" }] },
    "spec.userValidationRules[1]: Duplicate value",
  ],
  [
    "one extra key twice",
    {
      claims: {
        extra: [
          { key: "a.b/c", valueExpression: "'x'" },
          { key: "a.b/c", valueExpression: "'y'" },
        ],
      },
    },
    "spec.claims.extra[1]: Duplicate value",
  ],
  [
    "a lifetime below a minute",
    { credential: { maximumLifetimeSeconds: 59 } },
    "greater than or equal to 60",
  ],
  ["a negative age", { jwks: { maximumStaleSeconds: -1 } }, "greater than or equal to 0"],
  [
    "a long expression",
    { claims: { usernameExpression: `"${"x".repeat(4096)}"` } },
    "spec.claims.usernameExpression: Too long",
  ],
  [
    "a constant with an odd name",
    { transforms: { constants: [{ name: "1a", type: "string" }] } },
    "should match '^[a-zA-Z][_a-zA-Z0-9]*$'",
  ],
  [
    "one constant twice",
    {
      transforms: {
        constants: [
          { name: "a", type: "string" },
          { name: "a", type: "stringList" },
        ],
      },
    },
    "spec.transforms.constants[1]: Duplicate value",
  ],
  [
    "an unknown kind of transformation",
    { transforms: { expressions: [{ type: "username/v2", expression: "username" }] } },
    'supported values: "policy/v1", "username/v1", "groups/v1"',
  ],
  [
    "one exception twice",
    { reservedIdentities: { allowedGroups: ["a", "a"] } },
    "spec.reservedIdentities.allowedGroups[1]: Duplicate value",
  ],
];

describe("the authenticators' additive fields on a real kube-apiserver", () => {
  let cluster: Cluster;
  const kubectl = (args: readonly string[], object: object) =>
    cluster.kubectl([...args, "-f", "-"], { input: JSON.stringify(object) });
  const jwt = (spec: object) => ({
    apiVersion,
    kind: "JWTAuthenticator",
    metadata: { name: "x" },
    spec: { issuer: "https://a", audience: "b", ...spec },
  });
  const webhook = (spec: object) => ({
    apiVersion,
    kind: "WebhookAuthenticator",
    metadata: { name: "x" },
    spec: { endpoint: "https://a", ...spec },
  });

  before(async () => {
    cluster = await startCluster({
      name: `schema-${process.pid}`,
      tier: "control-plane",
      progress: () => {},
    });
    for (const definition of definitions) {
      const { code, stderr } = await kubectl(["create"], definition);
      assert.equal(code, 0, stderr);
      await cluster.kubectl([
        "wait",
        "--for=condition=Established",
        `crd/${definition.metadata.name}`,
        "--timeout=30s",
      ]);
    }
  });
  after(() => cluster?.stop());

  it("has structural schemas", async () => {
    for (const definition of definitions) {
      const { stdout } = await cluster.kubectl(["get", "crd", definition.metadata.name, "-o", "json"]);
      const { status } = JSON.parse(stdout) as {
        readonly status: {
          readonly conditions: readonly { readonly type: string; readonly message: string }[];
        };
      };
      assert.deepEqual(
        status.conditions.filter(({ type }) => type === "NonStructuralSchema"),
        [],
      );
    }
  });

  it("accepts every field", async () => {
    for (const object of [jwt({ ...everything, ...shared }), webhook(shared)]) {
      const { code, stderr } = await kubectl(["create", "--validate=strict", "--dry-run=server"], object);
      assert.equal(code, 0, stderr);
    }
  });

  for (const [what, spec, message] of refusals) {
    it(`refuses ${what}`, async () => {
      const { code, stderr } = await kubectl(["create", "--dry-run=server"], jwt(spec));
      assert.notEqual(code, 0);
      assert.ok(stderr.includes(message), stderr);
    });
  }
});
