import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { certificateOf } from "../../src/concierge/impersonator/testing/pipeline-harness.ts";
import { NONE, useIdentityProxy } from "./harness/identity-suite.ts";

// Field tests 1 to 6: what the kube-apiserver sees of who somebody is.

const suite = useIdentityProxy();

describe("field 1: inbound impersonation headers", () => {
  for (const lines of [
    ["Impersonate-Foo: x"],
    ["impersonate-foo: x"],
    ["Impersonate-User:"],
    ["Impersonate-Group: system:masters"],
    ["Impersonate-Uid: 7"],
    ["Impersonate-Extra-A: b"],
    ["Impersonate-User: bob", "Impersonate-Uid: 7"],
    ["Impersonate-User: bob", "Impersonate-Group:"],
    ["Impersonate_User: bob"],
    ["Impersonate-User: bob", "Impersonate-User-Extra: x"],
  ]) {
    test(`${lines.join("; ")} is refused and never forwarded`, async () => {
      await suite.refusedUnseen(lines);
    });
  }

  test("who may not impersonate does not, in any spelling", async () => {
    suite.decide = (_user, { verb }) => ({ allowed: verb !== "impersonate", reason: "" });
    for (const name of ["Impersonate-User", "impersonate-user", "IMPERSONATE-USER", "iMpErSoNaTe-UsEr"]) {
      assert.equal((await suite.refusedUnseen([`${name}: bob`])).status, 403);
    }
  });

  test("who may, acts as exactly that user, spaces around the value gone before the review", async () => {
    await suite.served(["iMPersonate-USER:  bob ", "Impersonate-User: carol", "Impersonate-Group: g1, g2"]);
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), ["bob"]);
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-group"), ["g1, g2", "system:authenticated"]);
    const name = "impersonate-extra-original-user-info.impersonation-proxy.concierge.pinniped.dev";
    assert.equal(JSON.parse(suite.proxy.valuesSeen(name)[0] ?? "").username, "alice");
  });
});

describe("field 2: Connection cannot take our headers away", () => {
  for (const value of [
    "Authorization",
    "authorization, Impersonate-User",
    "keep-alive,  IMPERSONATE-group",
    ", Impersonate-User",
    "Impersonate-Extra-authentication.kubernetes.io%2Fcredential-id",
    "X-Remote-User",
  ]) {
    test(`Connection: ${value}`, async () => {
      await suite.refusedUnseen([`Connection: ${value}`]);
      await suite.refusedUnseen(["Connection: keep-alive", `Connection: ${value}`]);
    });
  }

  test("another header that it names is gone, ours stay", async () => {
    await suite.served(["Connection: keep-alive, X-Mine", "X-Mine: 1", "Keep-Alive: timeout=5"]);
    suite.actsAsAlice();
    assert.deepEqual(suite.proxy.valuesSeen("x-mine"), []);
  });

  test("HTTP/2 has no Connection header", async () => {
    const call = suite.proxy.http2({ ":path": "/api", connection: "impersonate-user" }, suite.alice);
    await call.then(
      ({ status }) => assert.notEqual(status, 200),
      () => {},
    );
    assert.deepEqual(suite.proxy.seen, []);
  });
});

describe("field 3: groups are replaced, a name is never empty, no group means none", () => {
  test("groups of a nested user are its own", async () => {
    await suite.served(["Impersonate-User: bob", "Impersonate-Group: ops"]);
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-group"), ["ops", "system:authenticated"]);
  });

  test("a user without groups has the automatic one", async () => {
    await suite.served([], await certificateOf(suite.proxy.world, "lonely"));
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-group"), ["system:authenticated"]);
  });

  test("an empty name is nobody", async () => {
    suite.tokens.set("empty", { username: "", groups: ["system:masters"], extra: {} });
    await suite.refusedUnseen(["Authorization: Bearer empty"], NONE);
    await suite.served(["X-Remote-User:"], await certificateOf(suite.proxy.world, "alice", ["devs"]));
    suite.actsAsAlice();
  });
});

describe("field 4: values that HTTP does not carry unchanged", () => {
  test("control characters, bare CR and LF, NUL in names are refused", async () => {
    for (const username of ["a\r\nImpersonate-Group: system:masters", "a\nb", "a\0b", " a", "a\t", "a\x7f"]) {
      suite.tokens.set("odd", { username, groups: [], extra: {} });
      await suite.refusedUnseen(["Authorization: Bearer odd"], NONE);
      suite.tokens.set("odd", { username: "u", groups: [username], extra: {} });
      await suite.refusedUnseen(["Authorization: Bearer odd"], NONE);
    }
  });

  test("H5: é中😀 arrives as its bytes, over HTTP/1.1 and HTTP/2, and bad UTF-8 is a 400", async () => {
    const certificate = await certificateOf(suite.proxy.world, "é中😀", ["ü, ö"]);
    const utf8 = (values: readonly string[]): readonly string[] =>
      values.map((value) => Buffer.from(value, "latin1").toString());
    await suite.served([], certificate);
    assert.deepEqual(utf8(suite.proxy.valuesSeen("impersonate-user")), ["é中😀"]);
    assert.deepEqual(utf8(suite.proxy.valuesSeen("impersonate-group")), ["ü, ö", "system:authenticated"]);
    suite.proxy.seen.length = 0;
    assert.equal((await suite.proxy.http2({ ":path": "/api/v1/nodes" }, certificate)).status, 200);
    assert.deepEqual(utf8(suite.proxy.valuesSeen("impersonate-user")), ["é中😀"]);
    const bob = Buffer.from("bøb").toString("latin1");
    await suite.served([`Impersonate-User: ${bob}`]);
    assert.deepEqual(utf8(suite.proxy.valuesSeen("impersonate-user")), ["bøb"]);
    assert.equal((await suite.refusedUnseen(["Impersonate-User: \xff"])).status, 400);
  });

  test("a long name and 2,000 groups arrive whole (H6)", async () => {
    const groups = Array.from({ length: 2000 }, (_, index) => `group-${index}`);
    suite.tokens.set("big", { username: "u".repeat(10_000), groups, extra: {} });
    await suite.served(["Authorization: Bearer big"], NONE);
    assert.equal(suite.proxy.valuesSeen("impersonate-user")[0]?.length, 10_000);
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-group"), [...groups, "system:authenticated"]);
  });
});

describe("field 5: extra keys", () => {
  test("are escaped as client-go does, in lower case", async () => {
    await suite.served(["Impersonate-User: bob", "Impersonate-Extra-Example.ORG%2FA-b_c: v, w"]);
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-extra-example.org%2fa-b_c"), ["v, w"]);
    assert.deepEqual(
      suite.proxy.world.asked
        .filter(({ attributes }) => attributes.kind === "resource" && attributes.resource === "userextras")
        .map(({ attributes }) => attributes.kind === "resource" && attributes.subresource)
        .at(-1),
      "example.org/a-b_c",
    );
  });

  for (const key of ["a%25b", "%41", "a%3Db", "a%20b", "a%ZZ"]) {
    test(`${key} is refused`, async () => {
      await suite.refusedUnseen(["Impersonate-User: bob", `Impersonate-Extra-${key}: v`]);
    });
  }

  test("keys that differ by case only are one key with all values", async () => {
    await suite.served(["Impersonate-User: bob", "Impersonate-Extra-K: 1", "impersonate-extra-k: 2"]);
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-extra-k"), ["1", "2"]);
    suite.tokens.set("caps", { username: "u", groups: [], extra: { K: ["1"], k: ["2"] } });
    await suite.refusedUnseen(["Authorization: Bearer caps"], NONE);
  });
});

describe("field 6: reserved extras", () => {
  const original = "original-user-info.impersonation-proxy.concierge.pinniped.dev";

  test("nobody sets our own key, by header or by token", async () => {
    await suite.refusedUnseen(["Impersonate-User: bob", `Impersonate-Extra-${original}: {}`]);
    suite.tokens.set("sly", { username: "u", groups: [], extra: { [original]: ["{}"] } });
    await suite.refusedUnseen(["Authorization: Bearer sly"], NONE);
    await suite.refusedUnseen(
      ["Authorization: Bearer sly", "Impersonate-User: bob", `Impersonate-Extra-${original}: {}`],
      NONE,
    );
  });

  test("a credential ID is the certificate's; setting one is reviewed like any extra", async () => {
    const key = "authentication.kubernetes.io%2fcredential-id";
    await suite.served([]);
    assert.deepEqual(suite.proxy.valuesSeen(`impersonate-extra-${key}`), [
      `X509SHA256=${suite.alice.sha256Hex}`,
    ]);
    await suite.served(["Impersonate-User: bob", `Impersonate-Extra-${key}: JTI=1`]);
    assert.deepEqual(suite.proxy.valuesSeen(`impersonate-extra-${key}`), ["JTI=1"]);
    suite.decide = (_user, attributes) => ({
      allowed: attributes.kind !== "resource" || attributes.resource !== "userextras",
      reason: "",
    });
    assert.equal(
      (await suite.refusedUnseen(["Impersonate-User: bob", `Impersonate-Extra-${key}: JTI=1`])).status,
      403,
    );
  });
});
