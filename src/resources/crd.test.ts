import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { customResourceDefinition } from "./crd.ts";
import { credentialIssuerKind } from "./credential-issuer.ts";
import { jwtAuthenticatorKind } from "./jwt-authenticator.ts";
import { customResourceKinds } from "./kinds.ts";
import type { JsonSchema } from "./schema.ts";
import { webhookAuthenticatorKind } from "./webhook-authenticator.ts";

const schemaAt = (root: JsonSchema, path: string): JsonSchema =>
  path.split(".").reduce((node, name) => {
    const next = (node.items ?? node).properties?.[name];
    assert.ok(next, `${name} of ${path}`);
    return next;
  }, root);

/** Everything but the words. */
const rules = ({ description: _description, properties: _properties, ...rest }: JsonSchema): object => rest;

const versionOf = (kind: (typeof customResourceKinds)[number]) => {
  const [version, ...others] = customResourceDefinition(kind).spec.versions;
  assert.ok(version);
  assert.equal(others.length, 0);
  return version;
};

describe("customResourceDefinition", () => {
  it("names kinds, categories and scope as the contract does", () => {
    const { spec, metadata } = customResourceDefinition(webhookAuthenticatorKind);
    assert.equal(metadata.name, "webhookauthenticators.authentication.concierge.pinniped.dev");
    assert.equal(spec.group, "authentication.concierge.pinniped.dev");
    assert.equal(spec.scope, "Cluster");
    assert.deepEqual(spec.names, {
      categories: ["pinniped", "pinniped-authenticator", "pinniped-authenticators"],
      kind: "WebhookAuthenticator",
      listKind: "WebhookAuthenticatorList",
      plural: "webhookauthenticators",
      singular: "webhookauthenticator",
    });
    assert.deepEqual(customResourceDefinition(credentialIssuerKind).spec.names.categories, ["pinniped"]);
  });

  it("serves and stores one version, with a status subresource", () => {
    for (const kind of customResourceKinds) {
      const { name, served, storage, subresources } = versionOf(kind);
      assert.deepEqual(
        { name, served, storage, subresources },
        { name: "v1alpha1", served: true, storage: true, subresources: { status: {} } },
      );
    }
  });

  it("has the contract's columns", () => {
    const columns = customResourceKinds.map((kind) =>
      versionOf(kind).additionalPrinterColumns.map(
        ({ name, type, jsonPath }) => `${name}:${type}:${jsonPath}`,
      ),
    );
    const age = "Age:date:.metadata.creationTimestamp";
    assert.deepEqual(columns, [
      [
        "ProxyMode:string:.spec.impersonationProxy.mode",
        'DefaultStrategy:string:.status.strategies[?(@.status == "Success")].type',
        age,
      ],
      ["Issuer:string:.spec.issuer", "Audience:string:.spec.audience", "Status:string:.status.phase", age],
      ["Endpoint:string:.spec.endpoint", "Status:string:.status.phase", age],
    ]);
  });

  it("takes the suffix into name and group, and nowhere else", () => {
    const plain = customResourceDefinition(jwtAuthenticatorKind);
    const other = customResourceDefinition(jwtAuthenticatorKind, { apiGroupSuffix: "auth.example.com" });
    assert.equal(other.spec.group, "authentication.concierge.auth.example.com");
    assert.equal(other.metadata.name, "jwtauthenticators.authentication.concierge.auth.example.com");
    assert.deepEqual(other.spec.versions, plain.spec.versions);
  });
});

describe("validation rules", () => {
  const jwt = versionOf(jwtAuthenticatorKind).schema.openAPIV3Schema;
  const webhook = versionOf(webhookAuthenticatorKind).schema.openAPIV3Schema;
  const issuer = versionOf(credentialIssuerKind).schema.openAPIV3Schema;

  it("of a JWTAuthenticator", () => {
    assert.deepEqual(jwt.required, ["spec"]);
    assert.deepEqual(rules(schemaAt(jwt, "spec")), { type: "object", required: ["issuer", "audience"] });
    assert.deepEqual(rules(schemaAt(jwt, "spec.issuer")), {
      type: "string",
      minLength: 1,
      pattern: "^https://",
    });
    assert.deepEqual(rules(schemaAt(jwt, "spec.audience")), { type: "string", minLength: 1 });
    const { "x-kubernetes-validations": validations, ...claims } = schemaAt(jwt, "spec.claims");
    assert.deepEqual(rules(claims), { type: "object" });
    assert.equal(validations?.length, 2);
    const plain = customResourceDefinition(jwtAuthenticatorKind, { extensions: false }).spec.versions[0];
    assert.ok(!JSON.stringify(plain).includes("x-kubernetes-validations"));
    assert.deepEqual(rules(schemaAt(jwt, "spec.claims.username")), { type: "string" });
  });

  it("of a WebhookAuthenticator", () => {
    assert.deepEqual(rules(schemaAt(webhook, "spec")), { type: "object", required: ["endpoint"] });
    assert.deepEqual(rules(schemaAt(webhook, "spec.endpoint")), {
      type: "string",
      minLength: 1,
      pattern: "^https://",
    });
  });

  for (const [name, root] of [
    ["JWTAuthenticator", jwt],
    ["WebhookAuthenticator", webhook],
  ] as const) {
    it(`of the TLS part and the status of a ${name}`, () => {
      const source = "spec.tls.certificateAuthorityDataSource";
      assert.deepEqual(rules(schemaAt(root, source)), { type: "object", required: ["kind", "name", "key"] });
      assert.deepEqual(rules(schemaAt(root, `${source}.kind`)), {
        type: "string",
        enum: ["Secret", "ConfigMap"],
      });
      assert.deepEqual(rules(schemaAt(root, `${source}.name`)), { type: "string", minLength: 1 });
      assert.deepEqual(rules(schemaAt(root, `${source}.key`)), { type: "string", minLength: 1 });
      assert.deepEqual(rules(schemaAt(root, "status.phase")), {
        type: "string",
        default: "Pending",
        enum: ["Pending", "Ready", "Error"],
      });
      const conditions = schemaAt(root, "status.conditions");
      assert.equal(conditions["x-kubernetes-list-type"], "map");
      assert.deepEqual(conditions["x-kubernetes-list-map-keys"], ["type"]);
      const field = (name: string): object => rules(schemaAt(root, `status.conditions.${name}`));
      assert.deepEqual(field("message"), { type: "string", maxLength: 32768 });
      assert.deepEqual(field("status"), { type: "string", enum: ["True", "False", "Unknown"] });
      assert.deepEqual(field("observedGeneration"), { type: "integer", format: "int64", minimum: 0 });
      assert.deepEqual(field("lastTransitionTime"), { type: "string", format: "date-time" });
      assert.deepEqual(field("reason"), {
        type: "string",
        minLength: 1,
        maxLength: 1024,
        pattern: "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
      });
      assert.equal(schemaAt(root, "status.conditions.type").maxLength, 316);
    });
  }

  it("of a CredentialIssuer's spec", () => {
    const at = (path: string): object => rules(schemaAt(issuer, `spec.impersonationProxy${path}`));
    assert.deepEqual(rules(schemaAt(issuer, "spec")), { type: "object", required: ["impersonationProxy"] });
    assert.deepEqual(at(""), { type: "object", required: ["mode", "service"] });
    assert.deepEqual(at(".mode"), { type: "string", enum: ["auto", "enabled", "disabled"] });
    assert.deepEqual(at(".service"), { type: "object", default: { type: "LoadBalancer" } });
    assert.deepEqual(at(".service.type"), {
      type: "string",
      enum: ["LoadBalancer", "ClusterIP", "None"],
      default: "LoadBalancer",
    });
    assert.deepEqual(at(".service.loadBalancerIP"), { type: "string", minLength: 1, maxLength: 255 });
    assert.deepEqual(at(".service.annotations"), {
      type: "object",
      additionalProperties: { type: "string" },
    });
    assert.deepEqual(at(".tls.secretName"), { type: "string", minLength: 1 });
    assert.deepEqual(at(".externalEndpoint"), { type: "string" });
  });

  it("of a CredentialIssuer's status", () => {
    const at = (path: string): object => rules(schemaAt(issuer, `status.strategies${path}`));
    assert.deepEqual(schemaAt(issuer, "status").required, ["strategies"]);
    assert.deepEqual(schemaAt(issuer, "status.strategies").items?.required?.toSorted(), [
      "lastUpdateTime",
      "message",
      "reason",
      "status",
      "type",
    ]);
    const plain = customResourceDefinition(credentialIssuerKind, { extensions: false }).spec.versions[0]
      ?.schema.openAPIV3Schema;
    const types = ["KubeClusterSigningCertificate", "ImpersonationProxy"];
    const reasons = [
      "Listening",
      "Pending",
      "Disabled",
      "ErrorDuringSetup",
      "CouldNotFetchKey",
      "CouldNotGetClusterInfo",
      "FetchedKey",
    ];
    assert.ok(plain);
    assert.deepEqual(schemaAt(plain, "status.strategies.type").enum, types);
    assert.deepEqual(schemaAt(plain, "status.strategies.reason").enum, reasons);
    assert.deepEqual(schemaAt(issuer, "status.strategies.type").enum, [
      "KubeClusterSigningCertificate",
      "CertificateSigningRequestAPI",
      "ImpersonationProxy",
    ]);
    assert.deepEqual(schemaAt(issuer, "status.strategies.reason").enum, [
      ...reasons,
      "IssuedCertificate",
      "CouldNotIssueCertificate",
    ]);
    assert.deepEqual(at(".status"), { type: "string", enum: ["Success", "Error"] });
    assert.deepEqual(at(".message"), { type: "string", minLength: 1 });
    assert.deepEqual(at(".frontend"), { type: "object", required: ["type"] });
    assert.deepEqual(at(".frontend.tokenCredentialRequestInfo.server"), {
      type: "string",
      minLength: 1,
      pattern: "^https://|^http://",
    });
    assert.deepEqual(at(".frontend.impersonationProxyInfo.endpoint"), {
      type: "string",
      minLength: 1,
      pattern: "^https://",
    });
    assert.deepEqual(at(".frontend.impersonationProxyInfo"), {
      type: "object",
      required: ["endpoint", "certificateAuthorityData"],
    });
  });
});
