import assert from "node:assert/strict";
import { test } from "node:test";
import { missingRules } from "./access-review.ts";
import type { AccessRule } from "./access-rule.ts";
import { permissionText, policyRuleText } from "./access-rule.ts";
import { KubernetesApiError } from "./api-error.ts";
import type { KubernetesClient } from "./kubernetes-client.ts";
import type { SubjectAccessReview } from "./resources.ts";

type Attributes = NonNullable<SubjectAccessReview["spec"]["resourceAttributes"]>;

/** An API server that grants what `isAllowed` says, and keeps what it was asked. */
function createReviewer(isAllowed: (attributes: Attributes) => boolean) {
  const asked: { readonly kind: string; readonly spec: SubjectAccessReview["spec"] }[] = [];
  let running = 0;
  let most = 0;
  const client: Pick<KubernetesClient, "review"> = {
    review: async (resource, object) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      const { spec } = object as unknown as SubjectAccessReview;
      asked.push({ kind: resource.kind, spec });
      return { ...object, status: { allowed: isAllowed(spec.resourceAttributes ?? {}) } };
    },
  };
  return { client, asked, most: () => most };
}

const secrets: AccessRule = {
  namespace: "concierge",
  apiGroup: "",
  resource: "secrets",
  resourceNames: ["a", "b", "c"],
  verbs: ["update", "delete"],
};
const exec: AccessRule = { namespace: "concierge", apiGroup: "", resource: "pods/exec", verbs: ["create"] };
const nodes: AccessRule = { apiGroup: "", resource: "nodes", verbs: ["list", "watch"] };

test("what is granted is left out, what is denied keeps its verbs and names", async () => {
  const { client } = createReviewer(
    ({ resource, verb, name }) =>
      (resource === "secrets" && (name === "a" || verb === "update")) ||
      (resource === "nodes" && verb === "list"),
  );
  assert.deepEqual(await missingRules({ client, rules: [secrets, exec, nodes] }), [
    { ...secrets, resourceNames: ["b", "c"], verbs: ["delete"] },
    exec,
    { ...nodes, verbs: ["watch"] },
  ]);
});

test("names that lack other verbs are rules of their own", async () => {
  const { client } = createReviewer(({ verb, name }) => name === "a" || (name === "b" && verb === "update"));
  assert.deepEqual(await missingRules({ client, rules: [secrets] }), [
    { ...secrets, resourceNames: ["b"], verbs: ["delete"] },
    { ...secrets, resourceNames: ["c"], verbs: ["update", "delete"] },
  ]);
});

test("each question is asked exactly, a few at a time", async () => {
  const { client, asked, most } = createReviewer(() => true);
  assert.deepEqual(await missingRules({ client, rules: [secrets, exec, nodes] }), []);
  assert.equal(asked.length, 9);
  assert.ok(most() <= 4, `${most()} at a time`);
  assert.deepEqual(
    asked.find(({ spec }) => spec.resourceAttributes?.resource === "pods"),
    {
      kind: "SelfSubjectAccessReview",
      spec: {
        resourceAttributes: {
          group: "",
          verb: "create",
          resource: "pods",
          subresource: "exec",
          namespace: "concierge",
        },
      },
    },
  );
});

test("somebody else is asked about by SubjectAccessReview", async () => {
  const { client, asked } = createReviewer(() => false);
  const subject = { user: "jane", groups: ["apes"] };
  assert.deepEqual(await missingRules({ client, rules: [nodes], subject }), [nodes]);
  assert.deepEqual(asked[0], {
    kind: "SubjectAccessReview",
    spec: { ...subject, resourceAttributes: { group: "", verb: "list", resource: "nodes" } },
  });
});

test("refused reviews say nothing, an API server that does not answer is an error", async () => {
  const refusing = (code: number): Pick<KubernetesClient, "review"> => ({
    review: () =>
      Promise.reject(new KubernetesApiError({ kind: "Status", apiVersion: "v1", metadata: {}, code })),
  });
  for (const code of [403, 404, 405]) {
    assert.equal(await missingRules({ client: refusing(code), rules: [nodes] }), undefined);
  }
  for (const code of [401, 500, 503]) {
    await assert.rejects(missingRules({ client: refusing(code), rules: [nodes] }), { httpStatus: code });
  }
});

test("a rule reads as one of a Role", () => {
  assert.equal(
    policyRuleText({ ...secrets, resourceNames: ["a"], verbs: ["list", "*"] }),
    "{apiGroups: [''], resources: [secrets], resourceNames: [a], verbs: [list, '*']}",
  );
  assert.equal(
    permissionText(exec),
    "permission: {apiGroups: [''], resources: [pods/exec], verbs: [create]} (Role in namespace concierge)",
  );
  assert.equal(
    permissionText(nodes),
    "permission: {apiGroups: [''], resources: [nodes], verbs: [list, watch]} (ClusterRole)",
  );
});
