import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { describe, test } from "node:test";
import { testAuthority, testClientCertificate } from "../../src/concierge/api/testing/harness.ts";
import {
  certificateOf,
  createPipelineWorld,
  PROXY_TOKEN,
} from "../../src/concierge/impersonator/testing/pipeline-harness.ts";
import { issueServingCertificate } from "../../src/pki/certificate-authority.ts";
import { COMMON_NAME, withSubject } from "./harness/odd-certificates.ts";
import { GET, HOST, NONE, useIdentityProxy } from "./harness/identity-suite.ts";

// Field tests 7 to 10: who may say who somebody is, and that the proxy is never that somebody.

const suite = useIdentityProxy();

describe("field 7: UIDs", () => {
  test("a token's user with a UID acts with that token and nothing of ours", async () => {
    suite.tokens.set("sa", { username: "sa", uid: "7", groups: ["g"], extra: {} });
    await suite.served(["Authorization: Bearer sa"], NONE);
    assert.deepEqual(suite.proxy.valuesSeen("authorization"), ["Bearer sa"]);
    assert.deepEqual(
      suite.proxy.seen[0]?.headers.filter(([name]) => name.startsWith("impersonate")),
      [],
    );
  });

  test("a UID that nobody can vouch for is not dropped", async () => {
    await suite.refusedUnseen(["X-Remote-User: u", "X-Remote-Uid: 7"], suite.frontProxy);
    suite.tokens.set("other", { username: "somebody", uid: "7", groups: [], extra: {} });
    await suite.refusedUnseen(
      ["X-Remote-User: u", "X-Remote-Uid: 7", "Authorization: Bearer other"],
      suite.frontProxy,
    );
  });
});

describe("field 7: two credentials in one request", () => {
  const UID = "1.3.6.1.4.1.57683.2";

  test("a certificate's UID needs a token of exactly its user, which then acts alone", async () => {
    const certificate = withSubject(suite.proxy.world.authorities.signer, [
      [COMMON_NAME, "carol"],
      [UID, "7"],
    ]);
    const carol = { username: "carol", uid: "7", groups: [], extra: {} };
    const extra = { "authentication.kubernetes.io/credential-id": [`X509SHA256=${certificate.sha256Hex}`] };
    assert.equal((await suite.refusedUnseen([], certificate)).status, 500);
    for (const other of [
      { ...carol, username: "mallory", extra },
      { ...carol, uid: "8", extra },
      { ...carol, uid: undefined, extra },
      { ...carol, groups: ["system:masters"], extra },
      carol,
    ]) {
      suite.tokens.set("t", other);
      assert.equal((await suite.refusedUnseen(["Authorization: Bearer t"], certificate)).status, 500);
    }
    suite.tokens.set("t", { ...carol, extra });
    await suite.served(["Authorization: Bearer t"], certificate);
    assert.deepEqual(suite.proxy.valuesSeen("authorization"), ["Bearer t"]);
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), []);
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-uid"), []);
  });

  test("somebody else's token beside a certificate neither acts nor goes on", async () => {
    suite.tokens.set("root", { username: "root", groups: ["system:masters"], extra: {} });
    await suite.served(["Authorization: Bearer root"]);
    suite.actsAsAlice();
  });
});

describe("field 8: front proxy", () => {
  const asRoot = ["X-Remote-User: root", "X-Remote-Group: system:masters"];

  test("its headers count with its certificate alone", async () => {
    await suite.served(
      ["X-Remote-User: carol", "X-Remote-Group: a, b", "X-Remote-Group: c"],
      suite.frontProxy,
    );
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), ["carol"]);
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-group"), ["a, b", "c", "system:authenticated"]);
    await suite.served(asRoot);
    suite.actsAsAlice();
    await suite.served(asRoot, NONE);
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), [], "anonymous");
    assert.deepEqual(suite.proxy.valuesSeen("authorization"), []);
  });

  test("wrong name, wrong CA, expired, server certificate: refused", async () => {
    const { frontProxy: authority, cluster } = suite.proxy.world.authorities;
    const now = suite.proxy.world.clock.now();
    await suite.refusedUnseen(asRoot, await testClientCertificate(authority, "somebody"));
    await suite.refusedUnseen(
      asRoot,
      await testClientCertificate(await testAuthority("front-proxy-ca"), "front-proxy-client"),
    );
    await suite.refusedUnseen(
      asRoot,
      await testClientCertificate(authority, "front-proxy-client", [], { notAfter: new Date(now - 1) }),
    );
    const pair = await issueServingCertificate(authority, {
      dnsNames: ["front-proxy-client"],
      ipAddresses: [],
      notBefore: new Date(now - 1000),
      notAfter: new Date(now + 1000_000),
    });
    await suite.refusedUnseen(asRoot, { cert: pair.certificatePem, key: pair.privateKeyPem, sha256Hex: "" });
    await suite.served(asRoot, await testClientCertificate(cluster, "front-proxy-client"));
    assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), ["front-proxy-client"]);
  });

  test("renamed headers count at once, the default names not any more", async () => {
    const { requestHeader } = suite.proxy.world.state;
    const configured = requestHeader.current;
    assert.ok(configured);
    requestHeader.set({ ...configured, usernameHeaders: ["x-user"], groupHeaders: ["x-group"] });
    try {
      await suite.served(["X-User: carol", "X-Group: g", ...asRoot], suite.frontProxy);
      assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), ["carol"]);
      assert.deepEqual(suite.proxy.valuesSeen("impersonate-group"), ["g", "system:authenticated"]);
      assert.deepEqual(suite.proxy.valuesSeen("x-user"), []);
      assert.equal((await suite.refusedUnseen(asRoot, suite.frontProxy)).status, 401);
    } finally {
      requestHeader.set(configured);
    }
  });

  test("allowed names and the CA count as they are now, on an open connection too", async () => {
    const { requestHeader } = suite.proxy.world.state;
    const configured = requestHeader.current;
    assert.ok(configured);
    const socket = await suite.proxy.connect(suite.frontProxy);
    const carol = [GET, HOST, "X-Remote-User: carol"];
    try {
      assert.equal((await suite.proxy.raw(carol, { socket })).status, 200);
      assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), ["carol"]);
      for (const changed of [
        { allowedNames: ["another-name"] },
        { clientCaPem: (await testAuthority("front-proxy-ca")).certificatePem },
      ]) {
        requestHeader.set({ ...configured, ...changed });
        suite.proxy.seen.length = 0;
        assert.equal((await suite.proxy.raw(carol, { socket })).status, 401);
        assert.deepEqual(suite.proxy.seen, []);
      }
      requestHeader.set({ ...configured, allowedNames: [] });
      assert.equal((await suite.proxy.raw(carol, { socket })).status, 200, "any name, as the kube-apiserver");
    } finally {
      requestHeader.set(configured);
      socket.destroy();
    }
  });

  test("S11: off while its CA could be somebody else's", async () => {
    suite.proxy.world.state.sharedAuthorityFault.set("shared");
    try {
      assert.equal((await suite.refusedUnseen(asRoot, suite.frontProxy)).status, 401);
    } finally {
      suite.proxy.world.state.sharedAuthorityFault.set(undefined);
    }
  });
});

test("field 9: what tells who or where somebody is does not go on", async () => {
  await suite.served([
    ...["X-Remote-User: root", "X-Remote-Extra-A: b", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Host: h"],
    ...[
      "Forwarded: for=10.0.0.1",
      "X-Real-IP: 10.0.0.1",
      "Proxy-Authorization: Basic eA==",
      "Audit-ID: mine",
    ],
  ]);
  suite.actsAsAlice();
  for (const name of [
    "x-remote-user",
    "x-remote-extra-a",
    "x-forwarded-host",
    "forwarded",
    "x-real-ip",
    "proxy-authorization",
  ]) {
    assert.deepEqual(suite.proxy.valuesSeen(name), [], name);
  }
  assert.deepEqual(suite.proxy.valuesSeen("x-forwarded-for"), ["127.0.0.1"]);
  assert.notDeepEqual(suite.proxy.valuesSeen("audit-id"), ["mine"]);
});

test("field 9: where a request comes from is a verified front proxy's to say, nobody else's", async () => {
  const sources: string[] = [];
  const world = await createPipelineWorld({
    authenticateToken: async (_token, source) => {
      sources.push(source);
      return { username: "u", groups: [], extra: {} };
    },
  });
  const headers = ["Authorization", "Bearer t", "X-Forwarded-For", "203.0.113.9, 198.51.100.7"];
  const alice = await certificateOf(world, "alice");
  const frontProxy = await testClientCertificate(world.authorities.frontProxy, "front-proxy-client");
  await world.forward({ headers });
  // A front proxy that names nobody is somebody with a token.
  await world.forward({ headers, certificate: frontProxy });
  assert.deepEqual(sources, ["192.0.2.1", "198.51.100.7"]);
  await world.forward({ headers, certificate: alice });
  assert.equal(sources.length, 2);
});

describe("field 10: never as the proxy itself", () => {
  test("without the right to impersonate the kube-apiserver's 403 is the answer, after one request", async () => {
    suite.proxy.answerWith = { status: 403, body: '{"kind":"Status","code":403}' };
    try {
      for (const lines of [[], ["Impersonate-User: bob"]]) {
        suite.proxy.seen.length = 0;
        const answer = await suite.proxy.raw([GET, HOST, ...lines], { certificate: suite.alice });
        assert.deepEqual(answer, { status: 403, body: '{"kind":"Status","code":403}' });
        assert.equal(suite.proxy.valuesSeen("impersonate-user").length, 1, "asked once, as that user");
      }
    } finally {
      suite.proxy.answerWith = undefined;
    }
  });

  test("every request with the proxy's token names a user", async () => {
    for (const lines of [[], ["Impersonate-User: bob"], ["Connection: close"]]) {
      await suite.served(lines);
      assert.deepEqual(suite.proxy.valuesSeen("authorization"), [`Bearer ${PROXY_TOKEN}`]);
      assert.equal(suite.proxy.valuesSeen("impersonate-user").length, 1);
    }
    await suite.served([], NONE);
    assert.deepEqual(suite.proxy.valuesSeen("authorization"), []);
  });

  test("one connection carries several users (S12)", async () => {
    for (const name of ["u1", "u2"]) {
      suite.tokens.set(name, { username: name, groups: [], extra: {} });
    }
    const socket = await suite.proxy.connect();
    try {
      for (const name of ["u1", "u2", "u1"]) {
        suite.proxy.seen.length = 0;
        await suite.proxy.raw([GET, HOST, `Authorization: Bearer ${name}`], { socket });
        assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), [name]);
      }
      suite.proxy.seen.length = 0;
      await suite.proxy.raw([GET, HOST], { socket });
      assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), [], "anonymous");
    } finally {
      socket.destroy();
    }
  });
});

test("field 19: a 401 over HTTP/2 ends the connection as soon as its streams have ended", async () => {
  const stranger = await testClientCertificate(await testAuthority("signer"), "alice");
  for (const [certificate, status, ends] of [
    [stranger, 401, true],
    [suite.alice, 200, false],
  ] as const) {
    const socket = await suite.proxy.connect(certificate, { ALPNProtocols: ["h2"] });
    const session = connectHttp2("https://localhost", { createConnection: () => socket });
    const closed = once(session, "close");
    const stream = session.request({ ":path": "/api/v1/nodes" });
    const [headers] = (await once(stream, "response")) as [{ ":status"?: number }];
    assert.equal(headers[":status"], status);
    stream.resume();
    await once(stream, "close");
    if (ends) {
      await closed;
    } else {
      await new Promise((done) => session.ping(done));
      assert.equal(session.closed, false);
      session.destroy();
    }
  }
});
