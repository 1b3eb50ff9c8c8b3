import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startHarness, testClientCertificate, WHO_AM_I } from "../testing/harness.ts";
import type { Harness } from "../testing/harness.ts";

let harness: Harness;
before(async () => {
  harness = await startHarness();
});
after(() => harness.close());

const create = {
  method: "POST",
  path: WHO_AM_I,
  headers: { "content-type": "application/json" },
  body: "{}",
};

test("an anonymous caller sees the anonymous user", async () => {
  const answer = await harness.call(create);
  assert.equal(answer.status, 201);
  assert.equal(
    answer.body,
    '{"kind":"WhoAmIRequest","apiVersion":"identity.concierge.pinniped.dev/v1alpha1","metadata":{"creationTimestamp":null},"spec":{},"status":{"kubernetesUserInfo":{"user":{"username":"system:anonymous","groups":["system:unauthenticated"]}}}}\n',
  );
  assert.equal(answer.headers["content-type"], "application/json");
  assert.equal(answer.headers["cache-control"], "no-cache, private");
});

test("a client certificate's user has groups, a credential ID and system:authenticated", async () => {
  const certificate = await testClientCertificate(harness.clientAuthority, "jane", ["b", "a"]);
  const answer = await harness.call({ ...create, certificate });
  const { user } = JSON.parse(answer.body).status.kubernetesUserInfo;
  assert.equal(user.username, "jane");
  assert.deepEqual(user.groups, ["a", "b", "system:authenticated"]);
  assert.deepEqual(user.extra, {
    "authentication.kubernetes.io/credential-id": [`X509SHA256=${certificate.sha256Hex}`],
  });
});

test("a front proxy's user comes back unchanged: order, repeats, UID, extras", async () => {
  const answer = await harness.call({
    ...create,
    certificate: harness.frontProxy,
    headers: [
      ...["X-Remote-User", Buffer.from("é中😀", "utf8").toString("latin1")],
      ...["X-Remote-Uid", "u-1"],
      ...["X-Remote-Group", "a, b"],
      ...["X-Remote-Group", "a"],
      ...["X-Remote-Extra-Zebra", "2"],
      ...["X-Remote-Extra-Example.Com%2fKey", "1"],
      ...["X-Remote-Extra-zebra", "1, 2"],
      ...["Content-Type", "application/json"],
    ],
  });
  assert.equal(answer.status, 201, answer.body);
  assert.ok(
    answer.body.includes(
      '"user":{"username":"é中😀","uid":"u-1","groups":["a, b","a","system:authenticated"],"extra":{"example.com/key":["1"],"zebra":["2","1, 2"]}}',
    ),
    answer.body,
  );
});

test("a dry run and another kind are refused", async () => {
  const dryRun = await harness.call({ ...create, path: `${WHO_AM_I}?dryRun=All` });
  assert.equal(dryRun.status, 422);
  assert.equal(
    dryRun.body,
    '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":".identity.concierge.pinniped.dev \\"\\" is invalid: dryRun: Unsupported value: []string{\\"All\\"}","reason":"Invalid","details":{"group":"identity.concierge.pinniped.dev","causes":[{"reason":"FieldValueNotSupported","message":"Unsupported value: []string{\\"All\\"}","field":"dryRun"}]},"code":422}\n',
  );
});
