import assert from "node:assert/strict";
import { test } from "node:test";
import { unknownCluster, whoAmIOutput } from "./who-am-i-output.ts";

const cluster = { name: "kind-cluster", url: "https://fake-server-url-value" };
const apiVersion = "identity.concierge.pinniped.dev/v1alpha1";
const answer = (user: object): object => ({ status: { kubernetesUserInfo: { user } } });
const jane = answer({ username: "jane", groups: ["apes", "zebras"] });
const print = (format: string, given: unknown = jane, known = cluster): string =>
  whoAmIOutput(format, given, { cluster: known, apiVersion });

test("text names the cluster and the user", () => {
  assert.equal(
    print("text"),
    "Current cluster info:\n\nName: kind-cluster\nURL: https://fake-server-url-value\n\nCurrent user info:\n\nUsername: jane\nGroups: apes, zebras\n",
  );
});

test("no groups leave a blank; no cluster is three question marks", () => {
  assert.equal(
    print("text", answer({ username: "jane" }), unknownCluster),
    "Current cluster info:\n\nName: ???\nURL: ???\n\nCurrent user info:\n\nUsername: jane\nGroups: \n",
  );
});

test("JSON has the fields in the order of their types", () => {
  assert.equal(
    print("json"),
    `{
  "kind": "WhoAmIRequest",
  "apiVersion": "identity.concierge.pinniped.dev/v1alpha1",
  "metadata": {
    "creationTimestamp": null
  },
  "spec": {},
  "status": {
    "kubernetesUserInfo": {
      "user": {
        "username": "jane",
        "groups": [
          "apes",
          "zebras"
        ]
      }
    }
  }
}
`,
  );
});

test("YAML has them in the order of their names", () => {
  assert.equal(
    print("yaml"),
    `apiVersion: identity.concierge.pinniped.dev/v1alpha1
kind: WhoAmIRequest
metadata:
  creationTimestamp: null
spec: {}
status:
  kubernetesUserInfo:
    user:
      groups:
      - apes
      - zebras
      username: jane
`,
  );
});

test("names that a terminal would obey are shown instead, and read back from JSON", () => {
  const hostile = answer({
    username: "a\u001b[2J\nb\u009b\u202e<&>",
    groups: ["x\ny"],
    uid: "7",
    extra: { k: ["v"] },
  });
  for (const format of ["text", "json", "yaml"]) {
    assert.doesNotMatch(print(format, hostile), /(?!\n)\p{C}/u, format);
  }
  assert.match(print("text", hostile), /^Username: a\\x1b\[2J\\nb\\u009b\\u202e<&>\nGroups: x\\ny$/m);
  assert.match(print("json", hostile), /\\u003c\\u0026\\u003e/);
  assert.deepEqual(
    (JSON.parse(print("json", hostile)) as { status: object }).status,
    (hostile as { status: object }).status,
  );
});

test("another format is an error", () => {
  assert.throws(() => print("xml"), { message: 'could not write output: unknown output format: "xml"' });
});
