import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { testAuthority, testClientCertificate } from "../api/testing/harness.ts";
import { StatusError, tooManyRequests } from "../request/status.ts";
import { certificateOf, PROXY_TOKEN, socketWith } from "./testing/pipeline-harness.ts";
import { bearer, namesAndValues, UNAUTHORIZED, usePipelineSuite } from "./testing/pipeline-suite.ts";

const suite = usePipelineSuite();
const EXCHANGE = "/apis/login.concierge.pinniped.dev/v1alpha1/tokencredentialrequests";

describe("authentication (contract 7.3)", () => {
  test("a certificate of the proxy's signer is its user, with groups and credential ID", async () => {
    const { identityHeaders } = await suite.world.forward({ certificate: suite.alice });
    assert.deepEqual(namesAndValues(identityHeaders), [
      `Authorization: Bearer ${PROXY_TOKEN}`,
      "Impersonate-User: alice",
      "Impersonate-Group: devs",
      "Impersonate-Group: system:authenticated",
      `Impersonate-Extra-authentication.kubernetes.io%2Fcredential-id: X509SHA256=${suite.alice.sha256Hex}`,
    ]);
  });

  test("a certificate of client-ca-file is its user too, and order does not matter", async () => {
    const bob = await testClientCertificate(suite.world.authorities.cluster, "bob");
    for (const _ of [1, 2]) {
      assert.ok((await suite.world.forward({ certificate: bob })).identityHeaders.includes("bob"));
      assert.ok((await suite.world.forward({ certificate: suite.alice })).identityHeaders.includes("alice"));
    }
  });

  test("bad certificates: 401 alone and with a bad token, the token's user with a good one", async () => {
    const stranger = await testClientCertificate(await testAuthority("signer"), "root");
    const expired = await certificateOf(suite.world, "alice", [], new Date(suite.world.clock.now() - 1));
    for (const certificate of [stranger, expired]) {
      for (const headers of [[], bearer("bad"), bearer("broken")]) {
        const refusal = await suite.world.refuse({ certificate, headers });
        assert.deepEqual([refusal.status, refusal.body], [401, UNAUTHORIZED]);
        assert.deepEqual(refusal.headers, ["Content-Type", "application/json"]);
      }
      const good = await suite.world.forward({ certificate, headers: bearer("good") });
      assert.ok(good.identityHeaders.includes("token-user"));
    }
    assert.equal((await suite.world.refuse({ headers: bearer("bad") })).status, 401);
    assert.equal((await suite.world.refuse({ headers: bearer("broken") })).status, 401);
  });

  test("T2: a certificate is judged at every request, against clock and bundle of that moment", async () => {
    const socket = socketWith(suite.alice);
    await suite.world.forward({ socket });
    suite.world.state.proxySignerTrust.set((await testAuthority("other")).certificatePem);
    assert.equal((await suite.world.refuse({ socket })).status, 401);
    suite.world.state.proxySignerTrust.set(suite.world.authorities.signer.certificatePem);
    await suite.world.forward({ socket });
    await suite.world.clock.advance(2 * 3_600_000);
    assert.equal((await suite.world.refuse({ socket })).status, 401);
  });

  test("certificates win over tokens, an Authorization header of another scheme is nothing", async () => {
    const both = await suite.world.forward({ certificate: suite.alice, headers: bearer("good") });
    assert.ok(both.identityHeaders.includes("alice"));
    assert.ok(!both.identityHeaders.includes("Bearer good"));
    assert.deepEqual(
      (await suite.world.forward({ headers: ["Authorization", "Basic eA=="] })).identityHeaders,
      [],
    );
  });

  test("two Authorization headers are a 400", async () => {
    assert.equal((await suite.world.refuse({ headers: [...bearer("good"), ...bearer("bad")] })).status, 400);
  });

  test("T12: the front proxy's headers count with its certificate alone", async () => {
    const asRoot = [
      "X-Remote-User",
      "root",
      "X-Remote-Group",
      "g",
      "X-Remote-Group",
      "h, i",
      "X-Remote-Extra-A",
      "b",
    ];
    const { frontProxy, cluster, signer } = suite.world.authorities;
    const real = await testClientCertificate(frontProxy, "front-proxy-client");
    assert.deepEqual(
      namesAndValues(
        (await suite.world.forward({ certificate: real, headers: asRoot })).identityHeaders,
      ).slice(1),
      [
        "Impersonate-User: root",
        "Impersonate-Group: g",
        "Impersonate-Group: h, i",
        "Impersonate-Group: system:authenticated",
        "Impersonate-Extra-a: b",
      ],
    );
    assert.equal((await suite.world.refuse({ certificate: real })).status, 401, "a front proxy is no user");
    for (const authority of [cluster, signer]) {
      const other = await testClientCertificate(authority, "front-proxy-client");
      const { identityHeaders } = await suite.world.forward({ certificate: other, headers: asRoot });
      assert.ok(identityHeaders.includes("front-proxy-client") && !identityHeaders.includes("root"));
    }
    assert.deepEqual((await suite.world.forward({ headers: asRoot })).identityHeaders, []);
    // S11
    suite.world.state.sharedAuthorityFault.set("shared");
    assert.equal((await suite.world.refuse({ certificate: real, headers: asRoot })).status, 401);
  });

  test("a TokenReview's 429 is the answer, its user needs no certificate", async () => {
    const busy = await suite.newWorld({
      authenticateToken: async () => {
        throw new StatusError(tooManyRequests(3));
      },
    });
    const refusal = await busy.refuse({ headers: bearer("x") });
    assert.equal(refusal.status, 429);
    assert.deepEqual(refusal.headers.slice(2), ["Retry-After", "3"]);
  });

  test("a token in the websocket sub-protocol", async () => {
    const headers = [
      ...["Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Protocol"],
      `v4.channel.k8s.io, base64url.bearer.authorization.k8s.io.${Buffer.from("good").toString("base64url")}`,
    ];
    const target = "/api/v1/namespaces/default/pods/p/exec";
    const { identityHeaders, longRunning } = await suite.world.forward({ headers, target, upgrade: true });
    assert.ok(identityHeaders.includes("token-user"));
    assert.ok(longRunning);
  });

  test("S14: anonymous goes on without any credential, the exchange as system:anonymous", async () => {
    assert.deepEqual((await suite.world.forward({ target: "/version" })).identityHeaders, []);
    const exchange = await suite.world.forward({ method: "POST", target: EXCHANGE });
    assert.deepEqual(namesAndValues(exchange.identityHeaders), [
      `Authorization: Bearer ${PROXY_TOKEN}`,
      "Impersonate-User: system:anonymous",
      "Impersonate-Group: system:unauthenticated",
    ]);
    assert.equal(exchange.marksExchange, true);
    assert.deepEqual(
      (await suite.world.forward({ target: EXCHANGE })).identityHeaders,
      [],
      "a list is not the exchange",
    );
  });

  test("anonymous off: only tokencredentialrequests, whatever the suffix", async () => {
    const off = await suite.newWorld({ anonymousAllowed: false });
    assert.deepEqual(await off.refuse({ target: "/version" }), {
      status: 401,
      headers: ["Content-Type", "application/json"],
      body: UNAUTHORIZED,
      closeConnection: false,
    });
    assert.equal(
      (await off.refuse({ method: "POST", target: EXCHANGE.replace("login", "identity") })).status,
      401,
    );
    for (const target of [EXCHANGE, EXCHANGE.replace("pinniped.dev", "example.org")]) {
      assert.equal((await off.forward({ method: "POST", target })).marksExchange, true);
    }
  });
});
