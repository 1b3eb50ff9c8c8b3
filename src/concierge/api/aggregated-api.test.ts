import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import { after, before, describe, test } from "node:test";
import { defaultListenerTimeouts } from "./tls-listener.ts";
import { LOGIN, startHarness, testAuthority, testServingCertificate, WHO_AM_I } from "./testing/harness.ts";
import type { Harness } from "./testing/harness.ts";

let harness: Harness;
let failing: string | undefined;
before(async () => {
  harness = await startHarness({
    healthChecks: [
      { name: "poststarthook/start-controllers", problem: () => failing },
      { name: "poststarthook/fetch-impersonation-proxy-tokens", problem: () => undefined },
    ],
    readinessChecks: [{ name: "informer-sync", problem: () => undefined }],
  });
});
after(() => harness.close());

describe("TLS", () => {
  test("TLS 1.3 and HTTP/1.1 only, sessions are not resumed", async () => {
    const socket = await harness.connect({ ALPNProtocols: ["h2", "http/1.1"] });
    assert.equal(socket.getProtocol(), "TLSv1.3");
    assert.equal(socket.alpnProtocol, "http/1.1");
    const session = socket.getSession();
    socket.destroy();
    const again = await harness.connect(session === undefined ? {} : { session });
    assert.equal(again.isSessionReused(), false);
    again.destroy();
    await assert.rejects(harness.connect({ maxVersion: "TLSv1.2", minVersion: "TLSv1.2" }));
  });

  test("T8: a new certificate serves new connections at once, and TLS 1.2 stays refused", async () => {
    const next = await testAuthority("next");
    const before = harness.servingCertificate.current;
    const open = await harness.connect();
    harness.servingCertificate.set(await testServingCertificate(next));
    try {
      const socket = await harness.connect({ ca: [next.certificatePem] });
      socket.destroy();
      await assert.rejects(
        harness.connect({ ca: [next.certificatePem], maxVersion: "TLSv1.2", minVersion: "TLSv1.2" }),
      );
      open.write("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
      const [chunk] = (await once(open, "data")) as [Buffer];
      assert.match(chunk.toString(), /^HTTP\/1\.1 200 /);
    } finally {
      open.destroy();
      harness.servingCertificate.set(before);
    }
    // Losing the pair takes no listener down (clarification 14).
    harness.servingCertificate.set(undefined);
    assert.equal((await harness.call({ path: "/healthz" })).status, 200);
    harness.servingCertificate.set(before);
  });

  test("an idle connection is the kube-apiserver's to close: it keeps one for 90 s, and repeats no POST", async () => {
    const connection = harness.keepAlive();
    const { headers } = await connection.call({ path: "/healthz" });
    connection.close();
    const [, seconds] = /timeout=(\d+)/.exec(String(headers["keep-alive"])) ?? [];
    assert.ok(Number(seconds) > 90 + 10, String(headers["keep-alive"]));
  });

  test("without a serving certificate the port is open and handshakes fail, until there is one", async () => {
    const bare = await startHarness({ withoutServingCertificate: true });
    try {
      const tcp = connectTcp(bare.port, "127.0.0.1");
      await once(tcp, "connect");
      tcp.destroy();
      await assert.rejects(bare.connect());
      bare.servingCertificate.set(await testServingCertificate(bare.servingAuthority));
      assert.equal((await bare.call({ path: "/healthz" })).status, 200);
    } finally {
      await bare.close();
    }
  });

  test("without any client CA nobody's certificate is trusted, and the server still serves", async () => {
    const bare = await startHarness();
    try {
      bare.requestHeader.set(undefined);
      bare.clientCaPem.set(undefined);
      const answer = await bare.call({
        path: WHO_AM_I,
        method: "POST",
        body: "{}",
        certificate: bare.frontProxy,
        headers: { "x-remote-user": "admin" },
      });
      assert.match(answer.body, /"username":"system:anonymous"/);
    } finally {
      await bare.close();
    }
  });
});

describe("documents", () => {
  test("A7: legacy and aggregated discovery", async () => {
    const groups = await harness.call({ path: "/apis" });
    assert.equal(JSON.parse(groups.body).kind, "APIGroupList");
    const aggregated = await harness.call({
      path: "/apis",
      headers: {
        accept:
          "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json",
      },
    });
    assert.equal(
      aggregated.headers["content-type"],
      "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
    );
    assert.equal(JSON.parse(aggregated.body).apiVersion, "apidiscovery.k8s.io/v2");
    const group = await harness.call({ path: "/apis/login.concierge.pinniped.dev" });
    assert.equal(JSON.parse(group.body).kind, "APIGroup");
    const list = JSON.parse(
      (await harness.call({ path: "/apis/login.concierge.pinniped.dev/v1alpha1" })).body,
    );
    assert.deepEqual(list.resources[0].verbs, ["create", "list"]);
    assert.equal((await harness.call({ path: "/apis/login.concierge.pinniped.dev/v1alpha1/" })).status, 200);
  });

  test("OpenAPI v2 and v3 with ETags; protobuf first falls back to JSON; never a redirect", async () => {
    for (const path of ["/openapi/v2", "/openapi/v3"]) {
      const first = await harness.call({
        path,
        headers: {
          accept: "application/com.github.proto-openapi.spec.v2@v1.0+protobuf;q=1, application/json;q=0.9",
        },
      });
      assert.equal(first.status, 200);
      assert.equal(first.headers["content-type"], "application/json");
      const etag = String(first.headers.etag);
      assert.match(etag, /^"[0-9A-F]+"$/);
      const second = await harness.call({ path, headers: { "if-none-match": etag } });
      assert.equal(second.status, 304);
      assert.equal(second.body, "");
      assert.equal((await harness.call({ path, headers: { accept: "text/html" } })).status, 406);
    }
    const index = JSON.parse((await harness.call({ path: "/openapi/v3" })).body);
    const { serverRelativeURL } = index.paths["apis/login.concierge.pinniped.dev/v1alpha1"];
    assert.equal((await harness.call({ path: serverRelativeURL })).status, 200);
    assert.equal((await harness.call({ path: `${serverRelativeURL}OLD` })).status, 200);
  });

  test("version, index and metrics", async () => {
    assert.equal(JSON.parse((await harness.call({ path: "/version" })).body).gitVersion, "v0.1.0");
    const index = JSON.parse((await harness.call({ path: "/" })).body);
    for (const path of [
      "/apis",
      "/apis/login.concierge.pinniped.dev/v1alpha1",
      "/healthz/log",
      "/metrics",
      "/openapi/v2",
    ]) {
      assert.ok(index.paths.includes(path), path);
    }
    assert.equal((await harness.call({ path: "/metrics" })).body, "up 1\n");
  });
});

describe("health", () => {
  test("ok, verbose, excluded, unknown exclusions, single checks", async () => {
    const plain = await harness.call({ path: "/healthz" });
    assert.equal(plain.body, "ok");
    assert.equal(plain.headers["content-type"], "text/plain; charset=utf-8");
    assert.equal(
      (await harness.call({ path: "/readyz?verbose" })).body,
      "[+]ping ok\n[+]log ok\n[+]poststarthook/start-controllers ok\n[+]poststarthook/fetch-impersonation-proxy-tokens ok\n[+]informer-sync ok\n[+]shutdown ok\nreadyz check passed\n",
    );
    assert.equal(
      (await harness.call({ path: "/livez?verbose&exclude=log&exclude=nope" })).body,
      '[+]ping ok\n[+]log excluded: ok\n[+]poststarthook/start-controllers ok\n[+]poststarthook/fetch-impersonation-proxy-tokens ok\nwarn: some health checks cannot be excluded: no matches for "nope"\nlivez check passed\n',
    );
    assert.equal((await harness.call({ path: "/healthz/log" })).body, "ok");
  });

  test("a failing check is a 500 that withholds the reason, except on its own path", async () => {
    failing = "controllers have not started";
    try {
      const answer = await harness.call({ path: "/healthz" });
      assert.equal(answer.status, 500);
      assert.equal(
        answer.body,
        "[+]ping ok\n[+]log ok\n[-]poststarthook/start-controllers failed: reason withheld\n[+]poststarthook/fetch-impersonation-proxy-tokens ok\nhealthz check failed\n",
      );
      assert.equal(
        (await harness.call({ path: "/healthz/poststarthook/start-controllers" })).body,
        "internal server error: controllers have not started\n",
      );
    } finally {
      failing = undefined;
    }
  });
});

describe("requests that are not plain", () => {
  const cases: readonly [string, string, RegExp][] = [
    ["HTTP/1.0", "GET /healthz HTTP/1.0\r\nHost: x\r\n\r\n", /^HTTP\/1\.1 400 /],
    ["H2: no version", "GET /healthz\n\n", /^HTTP\/1\.1 400 /],
    ["two Host headers", "GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", /^HTTP\/1\.1 400 /],
    ["no Host header", "GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", /^HTTP\/1\.1 400 /],
    [
      "absolute form",
      "GET https://x/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
      /^HTTP\/1\.1 400 /,
    ],
    ["bad percent-encoding", "GET /%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", /^HTTP\/1\.1 400 /],
    ["encoded NUL", "GET /%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", /^HTTP\/1\.1 400 /],
    [
      "length and chunks",
      `POST ${LOGIN} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      /^HTTP\/1\.1 400 /,
    ],
    [
      "more than 1 MiB of headers",
      `GET /healthz HTTP/1.1\r\nHost: x\r\nX: ${"a".repeat(1024 * 1024)}\r\n\r\n`,
      /^HTTP\/1\.1 431 /,
    ],
    ["dots", "GET /apis/../healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", /^HTTP\/1\.1 404 /],
    ["two slashes", "GET //healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", /^HTTP\/1\.1 404 /],
    [
      "an unknown method",
      "PROPFIND /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
      /^HTTP\/1\.1 405 /,
    ],
    [
      "an upgrade is ignored",
      "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: h2c\r\n\r\n",
      /^HTTP\/1\.1 200 /,
    ],
  ];
  for (const [name, bytes, expected] of cases) {
    test(name, async () => {
      assert.match(await harness.raw(bytes), expected);
    });
  }

  test("an encoded path is authorized as what it is routed to", async () => {
    harness.asked.length = 0;
    await harness.call({ path: "/%61pis" });
    assert.deepEqual(harness.asked.at(-1)?.attributes, { kind: "path", verb: "get", path: "/apis" });
  });

  test("L4: a refused request with a big body ends its connection, a small one does not", async () => {
    const head = (length: number): string =>
      `POST ${LOGIN} HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nAuthorization: b\r\nContent-Length: ${length}\r\n\r\n`;
    assert.match(await harness.raw(head(1_000_000)), /^HTTP\/1\.1 400 [^]*\r\nconnection: close\r\n/i);
    const small = await harness.raw(
      `${head(2)}{}GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    );
    assert.match(small, /^HTTP\/1\.1 400 [^]*HTTP\/1\.1 200 [^]*ok$/);
  });

  test("who is too slow with a head or a body is cut off", async () => {
    const impatient = await startHarness({
      timeouts: {
        ...defaultListenerTimeouts,
        handshake: 150,
        headers: 150,
        request: 300,
        checkingInterval: 20,
      },
    });
    try {
      assert.match(await impatient.raw("GET /healthz HTTP/1.1\r\nX:"), /^HTTP\/1\.1 408 |^$/);
      const body = await impatient.raw(`POST ${LOGIN} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{`);
      assert.match(body, /^HTTP\/1\.1 408 |^$/);
      const tcp = connectTcp(impatient.port, "127.0.0.1");
      tcp.on("error", () => {});
      tcp.resume();
      await once(tcp, "close");
    } finally {
      await impatient.close();
    }
  });
});

describe("a connection in reserve", () => {
  test("is not answered 408 before anything was asked, serves later, and ends when it has been idle for long", async () => {
    const reserve = await startHarness({
      timeouts: {
        ...defaultListenerTimeouts,
        headers: 50,
        request: 100,
        keepAlive: 500,
        checkingInterval: 20,
      },
    });
    try {
      const socket = connectTls({ port: reserve.port, host: "127.0.0.1", rejectUnauthorized: false });
      const closed = once(socket, "close");
      let text = "";
      socket.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      await once(socket, "secureConnect");
      await new Promise((resolve) => setTimeout(resolve, 300));
      socket.write("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
      await closed;
      assert.match(text, /^HTTP\/1\.1 200 /);

      const unused = connectTls({ port: reserve.port, host: "127.0.0.1", rejectUnauthorized: false });
      let bytes = 0;
      unused.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
      });
      await once(unused, "close");
      assert.equal(bytes, 0);
    } finally {
      await reserve.close();
    }
  });
});

describe("shutdown", () => {
  test("readyz fails first, connections wind down, what runs finishes", async () => {
    const leaving = await startHarness();
    const { promise: entered, resolve: enter } = Promise.withResolvers<void>();
    const { promise: release, resolve } = Promise.withResolvers<void>();
    leaving.authenticators.set(JSON.stringify(["g", "k", "n"]), {
      authenticate: async () => {
        enter();
        await release;
        return { username: "jane", groups: [], extra: {} };
      },
      close: () => {},
    });
    const idle = await leaving.connect();
    const idleClosed = once(idle, "close");
    idle.resume();
    const running = leaving.call({
      method: "POST",
      path: LOGIN,
      headers: { "content-type": "application/json" },
      body: '{"spec":{"token":"t","authenticator":{"apiGroup":"g","kind":"k","name":"n"}}}',
    });
    await entered;
    leaving.api.beginShutdown();
    const kept = leaving.keepAlive();
    const ready = await kept.call({ path: "/readyz" });
    kept.close();
    assert.equal(ready.status, 500);
    assert.match(ready.body, /\[-\]shutdown failed: reason withheld/);
    assert.equal(ready.headers.connection, "close");
    assert.equal((await leaving.call({ path: "/livez" })).status, 200);

    const closed = leaving.api.close(60_000);
    await idleClosed;
    const late = connectTls({ host: "127.0.0.1", port: leaving.port, rejectUnauthorized: false });
    await assert.rejects(once(late, "secureConnect"));
    resolve();
    assert.match((await running).body, /"clientKeyData":"KEY"/);
    await closed;
  });

  test("what does not finish within the grace period is cut", async () => {
    const leaving = await startHarness();
    const { promise: entered, resolve: enter } = Promise.withResolvers<void>();
    leaving.authenticators.set(JSON.stringify(["g", "k", "n"]), {
      authenticate: (_token, signal) => {
        enter();
        return new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(new Error("gone")), { once: true });
        });
      },
      close: () => {},
    });
    const running = leaving.call({
      method: "POST",
      path: LOGIN,
      headers: { "content-type": "application/json" },
      body: '{"spec":{"token":"t","authenticator":{"apiGroup":"g","kind":"k","name":"n"}}}',
    });
    const cut = assert.rejects(running);
    await entered;
    const closed = leaving.api.close(5_000);
    await leaving.clock.advance(5_000);
    await cut;
    await closed;
    assert.equal(leaving.audit.at(-1)?.message, "TokenCredentialRequest Unexpected Error");
  });
});
