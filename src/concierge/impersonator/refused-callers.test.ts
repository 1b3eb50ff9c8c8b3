import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { testClientCertificate } from "../api/testing/harness.ts";
import { certificateOf } from "./testing/pipeline-harness.ts";
import { bearer, deny, UNABLE, UNAUTHORIZED, usePipelineSuite } from "./testing/pipeline-suite.ts";

const suite = usePipelineSuite();

describe("S2: names that HTTP would change", () => {
  for (const identity of [
    { username: " root", groups: [], extra: {} },
    { username: "root\t", groups: [], extra: {} },
    { username: "", groups: [], extra: {} },
    { username: "u", groups: [" ops-admins"], extra: {} },
    { username: "u", groups: [""], extra: {} },
    { username: "u", groups: ["a\nb"], extra: {} },
    { username: "u", uid: "7 ", groups: [], extra: {} },
    { username: "u", groups: [], extra: { a: ["x "] } },
  ] as const) {
    test(`${JSON.stringify(identity)} is refused before anybody is asked`, async () => {
      suite.tokens.set("odd", identity);
      const refusal = await suite.world.refuse({ headers: bearer("odd") });
      assert.deepEqual([refusal.status, refusal.body], [500, UNABLE]);
      assert.deepEqual(suite.world.asked, []);
    });
  }

  test("of a certificate too", async () => {
    const certificate = await certificateOf(suite.world, " root");
    assert.equal((await suite.world.refuse({ certificate })).status, 500);
  });

  test("é中😀 goes out as its UTF-8 bytes", async () => {
    suite.tokens.set("odd", { username: "é中😀", groups: ["ü"], extra: {} });
    const { identityHeaders } = await suite.world.forward({ headers: bearer("odd") });
    assert.equal(Buffer.from(identityHeaders[3] ?? "", "latin1").toString(), "é中😀");
    assert.equal(Buffer.from(identityHeaders[5] ?? "", "latin1").toString(), "ü");
  });
});

describe("S15: the deny list", () => {
  test("a hit is a 401 for every way of authenticating, and nobody is asked", async () => {
    const { state, clock } = suite.world;
    state.denyList.set({
      entries: ["alice", "token-user", "carol", "system:anonymous"].map((user) => ({
        user,
        until: clock.now() + 1,
      })),
      problems: [],
    });
    const front = await testClientCertificate(suite.world.authorities.frontProxy, "front-proxy-client");
    for (const call of [
      { certificate: suite.alice },
      { headers: bearer("good") },
      { certificate: front, headers: ["X-Remote-User", "carol"] },
      { target: "/version" },
      { certificate: suite.alice, headers: ["Impersonate-User", "bob"] },
    ]) {
      assert.equal((await suite.world.refuse(call)).body, UNAUTHORIZED);
    }
    assert.deepEqual(suite.world.asked, []);
    await clock.advance(1);
    await suite.world.forward({ certificate: suite.alice });
  });

  test("the final user of a nested impersonation is asked about too, an impersonated name alone tells nothing", async () => {
    suite.world.state.denyList.set({ entries: [{ user: "bob", until: Infinity }], problems: [] });
    const call = { certificate: suite.alice, headers: ["Impersonate-User", "bob"] };
    assert.equal((await suite.world.refuse(call)).status, 401);
    suite.decide = () => deny;
    assert.equal((await suite.world.refuse(call)).status, 403);
  });

  test("by the SHA-256 of the token itself", async () => {
    const tokenID = createHash("sha256").update("good").digest("hex");
    suite.world.state.denyList.set({ entries: [{ tokenID, until: Infinity }], problems: [] });
    assert.equal((await suite.world.refuse({ headers: bearer("good") })).status, 401);
  });

  test("before it has been read nobody is let in", async () => {
    suite.world.state.denyList.set(undefined);
    assert.equal((await suite.world.refuse({ certificate: suite.alice })).status, 503);
    assert.deepEqual(suite.world.asked, []);
  });
});
