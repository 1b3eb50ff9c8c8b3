import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { testClientCertificate } from "../api/testing/harness.ts";
import { socketWith } from "./testing/pipeline-harness.ts";
import { bearer, UNABLE, usePipelineSuite } from "./testing/pipeline-suite.ts";

const suite = usePipelineSuite();

describe("identity towards the kube-apiserver (contract 7.6)", () => {
  test("no token of our own: 502 with an empty body", async () => {
    suite.world.state.proxyToken.set(undefined);
    assert.deepEqual(await suite.world.refuse({ certificate: suite.alice }), {
      status: 502,
      headers: [],
      body: "",
      closeConnection: false,
    });
  });

  test("a new token of our own counts at once", async () => {
    await suite.world.forward({ certificate: suite.alice });
    suite.world.state.proxyToken.set({ token: "second", expiresAt: 0 });
    assert.equal(
      (await suite.world.forward({ certificate: suite.alice })).identityHeaders[1],
      "Bearer second",
    );
  });

  test("a user with a UID goes on with the own token, and with nothing else", async () => {
    suite.tokens.set("sa", {
      username: "sa",
      uid: "7",
      groups: ["g", "system:authenticated"],
      extra: { k: ["v"] },
    });
    const { identityHeaders } = await suite.world.forward({ headers: bearer("sa") });
    assert.deepEqual(identityHeaders, ["Authorization", "Bearer sa"]);
  });

  test("a user with a UID acts as somebody without one", async () => {
    suite.tokens.set("sa", { username: "sa", uid: "7", groups: [], extra: {} });
    const { identityHeaders } = await suite.world.forward({
      headers: [...bearer("sa"), "Impersonate-User", "bob"],
    });
    assert.ok(identityHeaders.some((value) => value.startsWith('{"username":"sa","uid":"7",')));
    assert.ok(!identityHeaders.includes("Bearer sa"));
  });

  test("a UID of the front proxy needs the same user's token", async () => {
    const certificate = await testClientCertificate(suite.world.authorities.frontProxy, "front-proxy-client");
    const headers = ["X-Remote-User", "u", "X-Remote-Uid", "7", "X-Remote-Group", "g"];
    assert.equal((await suite.world.refuse({ certificate, headers })).body, UNABLE);
    const same = { username: "u", uid: "7", groups: ["g"], extra: {} };
    suite.tokens.set("same", same);
    assert.deepEqual(
      (await suite.world.forward({ certificate, headers: [...headers, ...bearer("same")] })).identityHeaders,
      ["Authorization", "Bearer same"],
    );
    for (const other of [
      { ...same, username: "v" },
      { ...same, uid: "8" },
      { ...same, groups: ["g", "h"] },
      { ...same, extra: { k: ["v"] } },
    ]) {
      suite.tokens.set("other", other);
      assert.equal(
        (await suite.world.refuse({ certificate, headers: [...headers, ...bearer("other")] })).body,
        UNABLE,
      );
    }
    assert.equal(
      (await suite.world.refuse({ certificate, headers: [...headers, ...bearer("broken")] })).body,
      UNABLE,
    );
  });

  test("extra keys that cannot be said are refused without nesting too", async () => {
    for (const key of ["Upper", "a%b", "a b", "x.impersonation-proxy.concierge.pinniped.dev"]) {
      suite.tokens.set("odd", { username: "u", groups: [], extra: { [key]: ["v"] } });
      assert.equal((await suite.world.refuse({ headers: bearer("odd") })).body, UNABLE, key);
    }
  });

  test("S12: headers are prepared per leaf, not per connection", async () => {
    const first = await suite.world.forward({ certificate: suite.alice });
    const again = await suite.world.forward({ certificate: suite.alice });
    assert.equal(again.identityHeaders, first.identityHeaders);
    const socket = socketWith(suite.alice);
    const nested = await suite.world.forward({ socket, headers: ["Impersonate-User", "bob"] });
    assert.ok(nested.identityHeaders.includes("bob"));
    assert.equal((await suite.world.forward({ socket })).identityHeaders, first.identityHeaders);
    const front = await testClientCertificate(suite.world.authorities.frontProxy, "front-proxy-client");
    const shared = socketWith(front);
    for (const name of ["u1", "u2"]) {
      const { identityHeaders } = await suite.world.forward({
        socket: shared,
        headers: ["X-Remote-User", name],
      });
      assert.deepEqual(identityHeaders.slice(2, 4), ["Impersonate-User", name]);
    }
  });
});
