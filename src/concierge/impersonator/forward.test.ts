import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { createManualClock, systemClock } from "../../clock.ts";
import {
  always,
  askHttp2,
  createRecordingPipeline,
  forwardVerdict,
  get,
  OK,
  pseudo,
  startProxy,
  startRawUpstream,
  testAuthority,
} from "./testing/harness.ts";
import type {
  ProxyHarness,
  ProxyHarnessOptions,
  RawUpstream,
  RawUpstreamOptions,
} from "./testing/harness.ts";

const open: { close(): Promise<void> }[] = [];
after(async () => {
  for (const each of open.toReversed()) {
    await each.close();
  }
});

async function between(
  upstreamOptions: RawUpstreamOptions,
  proxyOptions: Omit<ProxyHarnessOptions, "upstream"> = {},
): Promise<{ upstream: RawUpstream; proxy: ProxyHarness }> {
  const upstream = await startRawUpstream(upstreamOptions);
  const proxy = await startProxy({ ...proxyOptions, upstream });
  open.push(upstream, proxy);
  return { upstream, proxy };
}

const SECURITY = [
  "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
  "X-Frame-Options: DENY",
  "X-XSS-Protection: 1; mode=block",
  "X-Content-Type-Options: nosniff",
  "Referrer-Policy: no-referrer",
  "X-DNS-Prefetch-Control: off",
  "Cache-Control: no-cache,no-store,max-age=0,must-revalidate",
  "Pragma: no-cache",
  "Expires: 0",
];

test("the upstream's headers come back with the security headers next to them (contract 7.7)", async () => {
  const { proxy } = await between({
    respond: always(
      'HTTP/1.1 200 OK\r\nCache-Control: no-cache, private\r\nAudit-Id: theirs\r\nWarning: 299 - "a"\r\nWarning: 299 - "b"\r\nConnection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\n\r\nok',
    ),
  });
  const text = await proxy.raw(get("/", ["Connection: close"]));
  for (const line of [
    ...SECURITY,
    "Cache-Control: no-cache, private",
    'Warning: 299 - "a"',
    'Warning: 299 - "b"',
    "Audit-Id: audit-1",
  ]) {
    assert.ok(text.includes(`\r\n${line}\r\n`), line);
  }
  assert.ok(!/theirs|X-Hop|Keep-Alive/.test(text));
  const session = await proxy.http2();
  const answer = await askHttp2(session, pseudo("/"));
  session.close();
  assert.equal(answer.status, 200);
  assert.equal(answer.body, "ok");
  assert.equal(answer.headers.filter((name) => name === "cache-control").length, 2);
  assert.equal(answer.headers.filter((name) => name === "warning").length, 2);
});

for (const [name, response, expected] of [
  [
    "a redirect",
    "HTTP/1.1 302 Found\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n",
    /^HTTP\/1\.1 302 [\s\S]*Location: https:\/\/elsewhere\//,
  ],
  ["no content", "HTTP/1.1 204 No Content\r\n\r\n", /^HTTP\/1\.1 204 (?![\s\S]*Content-Length)/],
  [
    "not modified",
    'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 99\r\n\r\n',
    /^HTTP\/1\.1 304 [\s\S]*ETag: "x"[\s\S]*Content-Length: 99/,
  ],
  [
    "a chunked body",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    /^HTTP\/1\.1 200 [\s\S]*Transfer-Encoding: chunked/i,
  ],
  [
    "gzip untouched",
    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
    /Content-Encoding: gzip[\s\S]*\r\n\r\n\x1f\x8b\x08\x00$/,
  ],
  ["an empty body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", /Content-Length: 0[\s\S]*\r\n\r\n$/],
] as const) {
  test(`${name} passes unchanged`, async () => {
    const { proxy } = await between({ respond: always(response) });
    assert.match(await proxy.raw(get("/", ["Connection: close"])), expected);
    const session = await proxy.http2();
    const answer = await askHttp2(session, pseudo("/"));
    session.close();
    assert.equal(answer.status, Number(response.slice(9, 12)));
    assert.equal(answer.resetCode, 0);
  });
}

test("the answer to HEAD has a length and no body", async () => {
  const { proxy } = await between({ respond: always("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n") });
  assert.match(
    await proxy.raw("HEAD / HTTP/1.1\r\nHost: k\r\nConnection: close\r\n\r\n"),
    /^HTTP\/1\.1 200 [\s\S]*Content-Length: 12345[\s\S]*\r\n\r\n$/,
  );
  const session = await proxy.http2();
  const answer = await askHttp2(session, pseudo("/", "HEAD"));
  session.close();
  assert.equal(answer.headers[answer.headers.indexOf("content-length") + 1], "12345");
});

test("trailers come back over HTTP/1.1 and HTTP/2", async () => {
  const { proxy } = await between({
    respond: always(
      "HTTP/1.1 200 OK\r\nTrailer: X-End\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-End: yes\r\n\r\n",
    ),
  });
  assert.match(await proxy.raw(get("/", ["Connection: close"])), /0\r\nX-End: yes\r\n\r\n$/);
  const session = await proxy.http2();
  const stream = session.request(pseudo("/"), { endStream: true });
  const trailers = new Promise<Record<string, unknown>>((done) => stream.once("trailers", done));
  stream.resume();
  assert.equal((await trailers)["x-end"], "yes");
  session.close();
});

test("Expect: 100-continue is the upstream's to answer, and 103 passes", async () => {
  const { proxy, upstream } = await between({
    respond: (socket, received) => {
      if (received.endsWith("\r\n\r\n") && !received.includes("body")) {
        socket.write("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
      } else if (received.endsWith("body")) {
        socket.write(OK);
      }
    },
  });
  const client = await proxy.tls();
  let text = "";
  let sent = false;
  const closed = new Promise<void>((done) => client.once("close", () => done()));
  client.on("data", (bytes: Buffer) => {
    text += bytes.toString();
    if (text.includes("100 Continue") && !sent) {
      sent = true;
      client.write("body");
    }
  });
  client.write(
    "POST / HTTP/1.1\r\nHost: k\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
  );
  await closed;
  assert.match(
    text,
    /^HTTP\/1\.1 103 [\s\S]*Link: <\/x>[\s\S]*HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /,
  );
  assert.match(upstream.everything, /Expect: 100-continue/);
});

test("without a connection to the upstream the answer is 502 without a body", async () => {
  const { proxy, upstream } = await between({});
  await upstream.close();
  open.splice(open.indexOf(upstream), 1);
  const text = await proxy.raw(get("/", ["Connection: close"]));
  assert.match(text, /^HTTP\/1\.1 502 [\s\S]*Content-Length: 0[\s\S]*\r\n\r\n$/);
  assert.equal(proxy.pipeline.outcomes[0]?.end, "upstream-error");
});

test("an upstream of another CA gets nothing (T11)", async () => {
  const upstream = await startRawUpstream();
  const other = await testAuthority("another");
  const proxy = await startProxy({ upstream: { url: upstream.url, caPem: other.certificatePem } });
  open.push(upstream, proxy);
  assert.match(await proxy.raw(get("/", ["Connection: close"])), /^HTTP\/1\.1 502 /);
  assert.equal(upstream.everything, "");
});

for (const [name, response] of [
  ["garbage", "SSH-2.0\r\n\r\n"],
  ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"],
  ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"],
  ["a length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok"],
  ["a bare LF", "HTTP/1.1 200 OK\r\nX-A: 1\nX-B: 2\r\nContent-Length: 2\r\n\r\nok"],
  ["a folded header", "HTTP/1.1 200 OK\r\nX-A: 1\r\n folded\r\nContent-Length: 2\r\n\r\nok"],
  ["an unasked 101", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"],
] as const) {
  test(`an upstream that answers ${name} is a 502`, async () => {
    const { proxy } = await between({ respond: always(response) });
    assert.match(await proxy.raw(get("/", ["Connection: close"])), /^HTTP\/1\.1 502 /);
  });
}

test("R1: bytes that nobody asked for are nobody's answer", async () => {
  const { proxy, upstream } = await between({
    respond: (socket, received) => {
      if (received.endsWith("\r\n\r\n")) {
        const target = /GET (\S+) /.exec(received.slice(received.lastIndexOf("GET ")))?.[1] ?? "";
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n\r\n${target}`);
        if (target === "/poison") {
          // One more answer, together with the first or a moment later.
          socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`);
          setTimeout(() => socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison`), 5);
        }
      }
    },
  });
  for (let round = 0; round < 5; round += 1) {
    assert.match(await proxy.raw(get("/poison", ["Connection: close"])), /\r\n\r\n\/poison$/);
    for (const target of ["/a", "/b", "/c"]) {
      assert.match(await proxy.raw(get(target, ["Connection: close"])), new RegExp(`\r\n\r\n${target}$`));
    }
  }
  assert.ok(upstream.connections >= 5);
});

test("R2: a kept connection that dies is tried once more for a read, and never for a write", async () => {
  let served = 0;
  const { proxy, upstream } = await between({
    respond: (socket, received) => {
      if (!received.endsWith("\r\n\r\n") && !received.endsWith("x=1")) {
        return;
      }
      if (received.split("HTTP/1.1").length > 2) {
        // The second request on a connection: it was closing.
        socket.destroy();
        return;
      }
      served += 1;
      socket.write(OK);
    },
  });
  assert.match(await proxy.raw(get("/first", ["Connection: close"])), / 200 /);
  assert.match(await proxy.raw(get("/second", ["Connection: close"])), / 200 /);
  assert.equal(served, 2);
  assert.equal(
    upstream.everything.split("GET /second").length,
    3,
    "asked on the dead connection and on a new one",
  );
  const post = "POST /third HTTP/1.1\r\nHost: k\r\nConnection: close\r\nContent-Length: 3\r\n\r\nx=1";
  assert.match(await proxy.raw(post), / 502 /);
  assert.equal(upstream.everything.split("POST /third").length, 2, "a write is never repeated");
});

test("an answer that breaks off is broken off, never completed", async () => {
  const { proxy } = await between({
    respond: (socket) => {
      socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
      setTimeout(() => socket.destroy(), 20);
    },
  });
  const text = await proxy.raw(get("/", []));
  assert.ok(!text.endsWith("0\r\n\r\n"));
  const session = await proxy.http2();
  const answer = await askHttp2(session, pseudo("/"));
  assert.notEqual(answer.resetCode, 0);
  session.destroy();
});

test("an upload that breaks off is broken off upstream, over HTTP/1.1 and HTTP/2", async () => {
  const { proxy, upstream } = await between({ respond: () => {} });
  const client = await proxy.tls();
  client.write("POST /half-h1 HTTP/1.1\r\nHost: k\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n");
  await upstream.saw("half\r\n");
  const first = new Promise<void>((done) => upstream.sockets[0]?.once("close", () => done()));
  client.destroy();
  await first;
  const session = await proxy.http2();
  const stream = session.request(pseudo("/half-h2", "POST"));
  stream.on("error", () => {});
  stream.write("half of it");
  await upstream.saw("half of it");
  const second = new Promise<void>((done) => upstream.sockets[1]?.once("close", () => done()));
  stream.destroy();
  await second;
  session.destroy();
  assert.ok(!upstream.everything.includes("0\r\n\r\n"));
});

test("after its deadline a request is a 504 in Kubernetes' words", async () => {
  const clock = createManualClock(systemClock.now());
  const { proxy, upstream } = await between({ respond: () => {} }, { clock });
  const client = await proxy.tls();
  let text = "";
  const closed = new Promise<void>((done) => client.once("close", () => done()));
  client.on("data", (bytes: Buffer) => {
    text += bytes.toString();
  });
  client.write(get("/slow", ["Connection: close"]));
  await upstream.saw("/slow");
  await clock.advance(60_000);
  await closed;
  assert.match(text, /^HTTP\/1\.1 504 /);
  assert.ok(
    text.includes(
      '{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Timeout: request did not complete within the allotted timeout","reason":"Timeout","details":{},"code":504}\n',
    ),
  );
  assert.equal(proxy.pipeline.outcomes[0]?.end, "deadline");
});

test("an anonymous request goes on without any credential (S14)", async () => {
  const pipeline = createRecordingPipeline((request) => forwardVerdict(request, { identityHeaders: [] }));
  const { proxy, upstream } = await between({}, { pipeline });
  await proxy.raw(
    get("/healthz", ["Authorization: Bearer x", "Impersonate-User: root", "Connection: close"]),
  );
  assert.doesNotMatch(upstream.everything, /authorization|impersonate/i);
});

test("a refusal reaches the client with our headers, and the upstream sees nothing", async () => {
  const pipeline = createRecordingPipeline(() => ({
    kind: "refuse",
    refusal: {
      status: 401,
      headers: ["Content-Type", "application/json", "WWW-Authenticate", "x"],
      body: "{}",
      closeConnection: false,
    },
  }));
  const { proxy, upstream } = await between({}, { pipeline });
  const text = await proxy.raw(
    `POST / HTTP/1.1\r\nHost: k\r\nContent-Length: 2\r\n\r\nhi${get("/", ["Connection: close"])}`,
  );
  assert.equal(text.split("HTTP/1.1 401 ").length, 3, "the connection lives on");
  assert.ok(text.includes("Audit-Id: audit-1"));
  assert.equal(upstream.everything, "");
});

test("bytes and ends are told, once", async () => {
  const { proxy } = await between({});
  await proxy.raw("POST / HTTP/1.1\r\nHost: k\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
  assert.deepEqual(await proxy.pipeline.outcome(1), {
    status: 200,
    bytesReceived: 5,
    bytesSent: 2,
    end: "complete",
  });
});

test("shutting down: watches end properly, requests finish, the port is free", async () => {
  const { promise, resolve } = Promise.withResolvers<TLSSocket>();
  const { proxy } = await between({
    respond: (socket, received) => {
      if (received.includes("watch=true")) {
        socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nevent\r\n");
      } else {
        resolve(socket);
      }
    },
  });
  const watching = proxy.raw(get("/pods?watch=true"));
  const session = await proxy.http2();
  const stream = session.request(pseudo("/pods?watch=true"), { endStream: true });
  await new Promise<void>((done) => stream.once("data", () => done()));
  const code = new Promise((done) => stream.once("close", () => done(stream.rstCode)));
  const asking = proxy.raw(get("/slow"));
  const server = await promise;
  proxy.proxy.beginShutdown();
  const closed = proxy.proxy.close(10_000);
  assert.ok((await watching).endsWith("0\r\n\r\n"));
  assert.equal(await code, 0);
  server.write(OK);
  assert.match(await asking, / 200 [\s\S]*Connection: close/);
  await closed;
  await assert.rejects(proxy.tls());
});

test("told to go, it serves what comes over HTTP/2 until it closes: no stream is refused", async () => {
  const { proxy } = await between({ respond: always(OK) });
  const known = await proxy.http2();
  const told = new Promise((done) => known.once("goaway", (code, last) => done([code, last])));
  const early = askHttp2(known, pseudo("/early"));
  proxy.proxy.beginShutdown();
  assert.deepEqual(await told, [0, 2 ** 31 - 1]);
  assert.equal((await early).status, 200);
  // Not every balancer knows at once.
  const late = await proxy.http2();
  assert.equal((await askHttp2(late, pseudo("/late"))).status, 200);
  await proxy.proxy.close(10_000);
});

test("it follows its settings: starts, says when the port is taken, stops and frees it", async () => {
  const { proxy, upstream } = await between({});
  const states: string[] = [];
  proxy.proxyState.subscribe(({ phase }) => states.push(phase));
  await proxy.proxy.stop();
  const blocked = await startProxy({ upstream });
  open.push(blocked);
  proxy.proxy.follow();
  const until = (phase: string): Promise<void> =>
    new Promise((done) => {
      const stop = proxy.proxyState.subscribe((state) => {
        if (state.phase === phase) {
          stop();
          done();
        }
      });
    });
  const failed = until("failed");
  proxy.proxySettings.set({ port: blocked.port });
  await failed;
  assert.match(JSON.stringify(proxy.proxyState.current), /EADDRINUSE/);
  await blocked.proxy.stop();
  const listening = until("listening");
  proxy.proxySettings.set({ port: blocked.port });
  await listening;
  const stopped = until("stopped");
  proxy.proxySettings.set(undefined);
  await stopped;
  assert.deepEqual(states, ["stopped", "starting", "failed", "starting", "listening", "stopped"]);
});
