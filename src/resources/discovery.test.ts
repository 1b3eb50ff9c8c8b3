import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { apiGroupDiscoveryList, apiGroupList, apiGroups, apiResourceLists } from "./discovery.ts";

const suffix = "auth.example.com";
const login = `login.concierge.${suffix}`;
const identity = `identity.concierge.${suffix}`;

describe("discovery", () => {
  it("lists each resource with its verbs in order and the category", () => {
    assert.deepEqual(apiResourceLists(suffix), [
      {
        kind: "APIResourceList",
        apiVersion: "v1",
        groupVersion: `${identity}/v1alpha1`,
        resources: [
          {
            name: "whoamirequests",
            singularName: "whoamirequest",
            namespaced: false,
            kind: "WhoAmIRequest",
            verbs: ["create", "list"],
            categories: ["pinniped"],
          },
        ],
      },
      {
        kind: "APIResourceList",
        apiVersion: "v1",
        groupVersion: `${login}/v1alpha1`,
        resources: [
          {
            name: "tokencredentialrequests",
            singularName: "tokencredentialrequest",
            namespaced: false,
            kind: "TokenCredentialRequest",
            verbs: ["create", "list"],
            categories: ["pinniped"],
          },
        ],
      },
    ]);
  });

  it("names the groups with their one version", () => {
    const entry = (name: string) => ({
      name,
      versions: [{ groupVersion: `${name}/v1alpha1`, version: "v1alpha1" }],
      preferredVersion: { groupVersion: `${name}/v1alpha1`, version: "v1alpha1" },
    });
    assert.deepEqual(apiGroupList(suffix), {
      kind: "APIGroupList",
      apiVersion: "v1",
      groups: [entry(identity), entry(login)],
    });
    assert.deepEqual(apiGroups(suffix)[1], { kind: "APIGroup", apiVersion: "v1", ...entry(login) });
  });

  it("says the same in one document, in both versions of that document", () => {
    const list = apiGroupDiscoveryList(suffix, "v2");
    assert.equal(list.apiVersion, "apidiscovery.k8s.io/v2");
    assert.deepEqual(list.items[1], {
      metadata: { name: login, creationTimestamp: null },
      versions: [
        {
          version: "v1alpha1",
          resources: [
            {
              resource: "tokencredentialrequests",
              responseKind: { group: login, version: "v1alpha1", kind: "TokenCredentialRequest" },
              scope: "Cluster",
              singularResource: "tokencredentialrequest",
              verbs: ["create", "list"],
              categories: ["pinniped"],
            },
          ],
          freshness: "Current",
        },
      ],
    });
    const older = apiGroupDiscoveryList(suffix, "v2beta1");
    assert.deepEqual(older, { ...list, apiVersion: "apidiscovery.k8s.io/v2beta1" });
  });
});
