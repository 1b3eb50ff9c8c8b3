import assert from "node:assert/strict";
import { describe, it } from "node:test";

import fc from "fast-check";

import {
  createApiGroupRewriter,
  replaceApiGroupSuffix,
  unreplaceApiGroupSuffix,
  validateApiGroupSuffix,
} from "./api-group-suffix.ts";
import type { KubernetesObject } from "./objects.ts";

const dns =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

describe("the API group suffix", () => {
  it("is a DNS-1123 subdomain with a dot", () => {
    const messageFor = (suffix: string): string => {
      try {
        validateApiGroupSuffix(suffix);
        return "";
      } catch (error) {
        return (error as Error).message;
      }
    };
    assert.equal(messageFor("pinniped.dev"), "");
    assert.equal(messageFor("a.b-c.d0"), "");
    assert.equal(messageFor("nodot"), "must contain '.'");
    assert.equal(messageFor(".starts"), dns);
    assert.equal(messageFor("Upper.case"), dns);
    assert.equal(messageFor("a..b"), dns);
    assert.equal(messageFor(""), `[must contain '.', ${dns}]`);
    assert.equal(messageFor("no_dot"), `[must contain '.', ${dns}]`);
    assert.equal(messageFor(`${"a".repeat(252)}.b`), "must be no more than 253 characters");
    assert.equal(messageFor(`a.b\n`), dns);
  });

  it("swaps a tail, never the whole and never a look-alike", () => {
    assert.equal(
      replaceApiGroupSuffix("login.concierge.pinniped.dev", "example.com"),
      "login.concierge.example.com",
    );
    for (const group of ["pinniped.dev", "apps", "", "x.notpinniped.dev", "x.pinniped.dev.example.com"]) {
      assert.equal(replaceApiGroupSuffix(group, "example.com"), group);
    }
    assert.equal(unreplaceApiGroupSuffix("a.example.com", "example.com"), "a.pinniped.dev");
    assert.equal(unreplaceApiGroupSuffix("a.other.com", "example.com"), "a.other.com");
  });

  it("comes back as it went", () => {
    const label = fc.stringMatching(/^[a-z0-9]{1,8}$/);
    fc.assert(
      fc.property(fc.array(label, { minLength: 2, maxLength: 4 }), label, (suffix, group) => {
        const own = `${group}.pinniped.dev`;
        assert.equal(
          unreplaceApiGroupSuffix(replaceApiGroupSuffix(own, suffix.join(".")), suffix.join(".")),
          own,
        );
      }),
    );
  });

  it("leaves an object that needs nothing as it is, and never changes its argument", () => {
    const rewriter = createApiGroupRewriter("example.com");
    const plain: KubernetesObject = { apiVersion: "v1", kind: "Secret", metadata: { name: "a" } };
    assert.equal(rewriter.outgoing(plain, { ownerReferences: true }), plain);
    assert.equal(rewriter.incoming(plain), plain);
    const owned: KubernetesObject = Object.freeze({
      ...plain,
      metadata: Object.freeze({
        name: "a",
        ownerReferences: Object.freeze([
          Object.freeze({ apiVersion: "apps/v1", kind: "Deployment", name: "d", uid: "1" }),
          Object.freeze({ apiVersion: "x.pinniped.dev/v1", kind: "X", name: "x", uid: "2" }),
        ]),
      }),
    });
    const sent = rewriter.outgoing(owned, { ownerReferences: true });
    assert.deepEqual(
      sent.metadata.ownerReferences?.map(({ apiVersion }) => apiVersion),
      ["apps/v1", "x.example.com/v1"],
    );
    assert.equal(rewriter.outgoing(owned, { ownerReferences: false }), owned);
    assert.deepEqual(rewriter.incoming(sent), owned);
  });
});
