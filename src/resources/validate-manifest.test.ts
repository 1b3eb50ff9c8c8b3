import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { KubernetesObject } from "../kube/objects.ts";
import { validateManifest } from "./validate-manifest.ts";

const jwtAuthenticator = (body: object, metadata: object = { name: "idp" }): KubernetesObject =>
  ({
    apiVersion: "authentication.concierge.pinniped.dev/v1alpha1",
    kind: "JWTAuthenticator",
    metadata,
    ...body,
  }) as KubernetesObject;

const spec = { issuer: "https://issuer.example.com", audience: "me" };

describe("validateManifest", () => {
  it("accepts a good manifest and keeps all of its metadata", () => {
    const object = jwtAuthenticator({ spec }, { name: "idp", labels: { team: "a" }, generation: 3 });
    assert.deepEqual(validateManifest(object), { errors: [], warnings: [], object });
  });

  it("speaks of broken rules as the kube-apiserver does", () => {
    const tls = { certificateAuthorityDataSource: { kind: "sorcery", key: "ca.crt" } };
    const { errors } = validateManifest(jwtAuthenticator({ spec: { issuer: "", tls } }));
    assert.deepEqual(errors.toSorted(), [
      "spec.audience: Required value",
      'spec.issuer: Invalid value: "": spec.issuer in body should be at least 1 chars long',
      'spec.tls.certificateAuthorityDataSource.kind: Unsupported value: "sorcery": supported values: "Secret", "ConfigMap"',
      "spec.tls.certificateAuthorityDataSource.name: Required value",
    ]);
    assert.deepEqual(validateManifest(jwtAuthenticator({ spec: { ...spec, issuer: "http://x" } })).errors, [
      `spec.issuer: Invalid value: "http://x": spec.issuer in body should match '^https://'`,
    ]);
  });

  it("drops unknown fields with a warning each", () => {
    const { errors, warnings, object } = validateManifest(
      jwtAuthenticator({ spec: { ...spec, isuer: "x", claims: { user: "y" } }, more: {} }),
    );
    assert.deepEqual(errors, []);
    assert.deepEqual(warnings.toSorted(), [
      'unknown field "more"',
      'unknown field "spec.claims.user"',
      'unknown field "spec.isuer"',
    ]);
    assert.deepEqual(object, jwtAuthenticator({ spec: { ...spec, claims: {} } }));
  });

  it("fills defaults, of defaults too, without touching the given object", () => {
    const given = {
      apiVersion: "config.concierge.pinniped.dev/v1alpha1",
      kind: "CredentialIssuer",
      metadata: { name: "config" },
      spec: { impersonationProxy: { mode: "auto", service: null } },
      status: undefined,
    };
    const before = structuredClone(given);
    const { errors, object } = validateManifest(given);
    assert.deepEqual(errors, []);
    assert.deepEqual((object as unknown as typeof given).spec, {
      impersonationProxy: { mode: "auto", service: { type: "LoadBalancer" } },
    });
    assert.deepEqual(given, before);
  });

  it("defaults the phase only where there is a status", () => {
    const { object } = validateManifest(jwtAuthenticator({ spec, status: {} }));
    assert.deepEqual(object, jwtAuthenticator({ spec, status: { phase: "Pending" } }));
  });

  it("refuses two conditions of one type and a condition that breaks the standard rules", () => {
    const condition = {
      type: "Ready",
      status: "True",
      reason: "Success",
      message: "",
      lastTransitionTime: "2026-01-02T03:04:05Z",
    };
    const { errors } = validateManifest(
      jwtAuthenticator({
        spec,
        status: {
          conditions: [condition, condition, { ...condition, type: "X", reason: "", observedGeneration: -1 }],
        },
      }),
    );
    assert.deepEqual(errors.toSorted(), [
      'status.conditions[1]: Duplicate value: {"type":"Ready"}',
      "status.conditions[2].observedGeneration: Invalid value: -1: status.conditions[2].observedGeneration in body should be greater than or equal to 0",
      'status.conditions[2].reason: Invalid value: "": status.conditions[2].reason in body should be at least 1 chars long',
    ]);
  });

  it("refuses a time that is none", () => {
    const strategy = {
      type: "ImpersonationProxy",
      status: "Success",
      reason: "Listening",
      message: "m",
      lastUpdateTime: "today",
    };
    const { errors } = validateManifest({
      apiVersion: "config.concierge.pinniped.dev/v1alpha1",
      kind: "CredentialIssuer",
      metadata: { name: "config" },
      spec: { impersonationProxy: { mode: "auto" } },
      status: { strategies: [strategy] },
    } as KubernetesObject);
    assert.equal(errors.length, 1);
    assert.match(
      errors[0] ?? "",
      /^status\.strategies\[0\]\.lastUpdateTime: Invalid value: "today": .*must be of type date-time/,
    );
  });

  it("refuses names that the kube-apiserver would refuse", () => {
    assert.match(
      validateManifest(jwtAuthenticator({ spec }, {})).errors[0] ?? "",
      /^metadata\.name: Required value/,
    );
    for (const name of ["Upper", "../up", "a/b", "x".repeat(254)]) {
      const [error = ""] = validateManifest(jwtAuthenticator({ spec }, { name })).errors;
      assert.ok(error.startsWith(`metadata.name: Invalid value: ${JSON.stringify(name)}: `), error);
    }
    assert.match(
      validateManifest(jwtAuthenticator({ spec }, { name: 7 })).errors[0] ?? "",
      /^metadata\.name: Invalid value: 7/,
    );
  });

  it("knows its kinds by apiVersion and suffix", () => {
    assert.deepEqual(
      validateManifest({ apiVersion: "v1", kind: "JWTAuthenticator", metadata: { name: "x" } }).errors,
      ['no matches for kind "JWTAuthenticator" in version "v1"'],
    );
    const other = {
      ...jwtAuthenticator({ spec }),
      apiVersion: "authentication.concierge.auth.example.com/v1alpha1",
    };
    assert.deepEqual(validateManifest(other, "auth.example.com").errors, []);
    assert.equal(validateManifest(other).errors.length, 1);
  });

  it("takes keys that objects inherit for unknown fields", () => {
    const hostile = JSON.parse(
      '{"issuer":"https://x","audience":"a","__proto__":{"a":1},"constructor":{}}',
    ) as object;
    const { warnings, object } = validateManifest(jwtAuthenticator({ spec: hostile }));
    assert.deepEqual(warnings.toSorted(), [
      'unknown field "spec.__proto__"',
      'unknown field "spec.constructor"',
    ]);
    assert.deepEqual(Object.keys((object as unknown as { spec: object }).spec), ["issuer", "audience"]);
  });
});
