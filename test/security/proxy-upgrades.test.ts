// Field tests 11, 12, 13 and the engine's part of 15: connections that leave HTTP.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { TLSSocket } from "node:tls";
import {
  createRecordingPipeline,
  forwardVerdict,
  get,
  IDENTITY,
  startProxy,
  startRawUpstream,
} from "../../src/concierge/impersonator/testing/harness.ts";
import type { ProxyHarness, RawUpstream } from "../../src/concierge/impersonator/testing/harness.ts";

const EXEC = "/api/v1/namespaces/a/pods/b/exec?command=sh";
const SWITCH = (protocol: string): string =>
  `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n`;

let upstream: RawUpstream;
let proxy: ProxyHarness;
/** What the upstream answers to a head. */
let answer: (socket: TLSSocket) => void;

before(async () => {
  const answered = new Set<number>();
  upstream = await startRawUpstream({
    respond: (socket, received, connection) => {
      if (!answered.has(connection) && received.includes("\r\n\r\n")) {
        answered.add(connection);
        answer(socket);
      }
    },
  });
  proxy = await startProxy({ upstream });
});
after(async () => {
  await proxy.close();
  await upstream.close();
});

function upgradeRequest(protocol: string, method = "POST"): string {
  return `${method} ${EXEC} HTTP/1.1\r\nHost: kubernetes\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\nAuthorization: Bearer client\r\nContent-Length: 0\r\n\r\n`;
}

/** Collects what arrives. */
function reading(socket: TLSSocket): {
  text: () => string;
  saw: (what: string) => Promise<void>;
  closed: Promise<void>;
} {
  let text = "";
  const waiting = new Set<() => void>();
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
    waiting.forEach((check) => check());
  });
  return {
    text: () => text,
    saw: (what) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (text.includes(what)) {
            resolve();
          }
        };
        waiting.add(check);
        check();
      }),
    closed: new Promise((resolve) => socket.once("close", () => resolve())),
  };
}

for (const protocol of ["SPDY/3.1", "websocket", "WebSocket", "spdy/3.1"]) {
  test(`field 11: ${protocol} is tunnelled, with our identity`, async () => {
    answer = (socket) => socket.write(SWITCH(protocol));
    const seen = upstream.everything.length;
    const client = await proxy.tls();
    const read = reading(client);
    client.write(upgradeRequest(protocol));
    await read.saw("\r\n\r\n");
    assert.match(read.text(), /^HTTP\/1\.1 101 Switching Protocols\r\n/);
    assert.match(read.text(), /X-Stream-Protocol-Version: v4\.channel\.k8s\.io/);
    client.write("from the client");
    await upstream.saw("from the client");
    upstream.sockets.at(-1)?.write("from the server");
    await read.saw("from the server");
    const got = upstream.everything.slice(seen);
    assert.match(got, new RegExp(`Connection: Upgrade\\r\\nUpgrade: ${protocol}\\r\\n`));
    for (let index = 0; index < IDENTITY.length; index += 2) {
      assert.ok(got.includes(`${IDENTITY[index]}: ${IDENTITY[index + 1]}\r\n`));
    }
    assert.ok(!got.includes("Bearer client"));
    client.destroy();
    await new Promise<void>((resolve) => upstream.sockets.at(-1)?.once("close", () => resolve()));
    assert.equal(proxy.pipeline.streams.at(-1), 101);
  });
}

for (const protocol of [
  "h2c",
  "TLS/1.0",
  "websocket, h2c",
  "SPDY/3.1, websocket",
  "SPDY/3",
  "x",
  "HTTP/2.0",
]) {
  test(`field 11: an upgrade to ${protocol} is refused, and the upstream sees nothing`, async () => {
    const connections = upstream.connections;
    assert.match(await proxy.raw(upgradeRequest(protocol)), /^HTTP\/1\.1 400 /);
    assert.equal(upstream.connections, connections);
  });
}

test("field 11: two Upgrade headers, HTTP/1.0 and a body are refused", async () => {
  const connections = upstream.connections;
  const twice = upgradeRequest("websocket").replace(
    "Upgrade: websocket",
    "Upgrade: websocket\r\nUpgrade: websocket",
  );
  assert.match(await proxy.raw(twice), /^HTTP\/1\.1 400 /);
  assert.match(
    await proxy.raw(upgradeRequest("websocket").replace("HTTP/1.1", "HTTP/1.0")),
    /^HTTP\/1\.1 505 /,
  );
  const withBody = `${upgradeRequest("websocket").replace("Content-Length: 0", "Content-Length: 5")}hello`;
  assert.match(await proxy.raw(withBody), /^HTTP\/1\.1 400 /);
  assert.equal(upstream.connections, connections);
});

test("field 11: Connection naming an identity header is refused for upgrades, too", async () => {
  const connections = upstream.connections;
  const bytes = upgradeRequest("websocket").replace(
    "Connection: Upgrade",
    "Connection: Upgrade, Impersonate-User",
  );
  assert.match(await proxy.raw(bytes), /^HTTP\/1\.1 400 /);
  assert.equal(upstream.connections, connections);
});

test("field 11: an upgrade that is pipelined behind a request ends the connection", async () => {
  answer = (socket) => setTimeout(() => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), 50);
  const text = await proxy.raw(get("/api/slow") + upgradeRequest("websocket"));
  assert.ok(!text.includes("101"));
});

const STATUS =
  '{"kind":"Status","apiVersion":"v1","status":"Failure","message":"pods \\"b\\" not found","code":404}';
for (const [name, response, expected] of [
  ["200", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", /^HTTP\/1\.1 200 [\s\S]*\r\n\r\nok$/],
  [
    "302",
    "HTTP/1.1 302 Found\r\nLocation: https://evil/\r\nContent-Length: 0\r\n\r\n",
    /^HTTP\/1\.1 302 [\s\S]*Location: https:\/\/evil\//,
  ],
  [
    "404 with a Status",
    `HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: ${STATUS.length}\r\n\r\n${STATUS}`,
    /^HTTP\/1\.1 404 [\s\S]*not found/,
  ],
  [
    "500, chunked",
    "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    /^HTTP\/1\.1 500 [\s\S]*\r\n\r\nhello$/,
  ],
] as const) {
  test(`field 12: ${name} to an upgrade is relayed, and both sides end`, async () => {
    answer = (socket) => socket.write(response);
    const text = await proxy.raw(`${upgradeRequest("SPDY/3.1")}early bytes that must not go anywhere`);
    assert.match(text, expected);
    assert.match(text, /Connection: close/i);
    assert.ok(!upstream.everything.includes("early bytes"));
    assert.equal(upstream.sockets.at(-1)?.destroyed || upstream.sockets.at(-1)?.readableEnded, true);
  });
}

for (const [name, response] of [
  ["another protocol", SWITCH("websocket")],
  ["no protocol", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"],
  ["no Connection header", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\n\r\n"],
  ["garbage", "SSH-2.0-x\r\n\r\n"],
] as const) {
  test(`field 12: a 101 with ${name} is a 502`, async () => {
    answer = (socket) => socket.write(response);
    assert.match(await proxy.raw(upgradeRequest("SPDY/3.1")), /^HTTP\/1\.1 502 /);
  });
}

test("field 12: an upstream that closes instead of answering is a 502", async () => {
  answer = (socket) => socket.destroy();
  assert.match(await proxy.raw(upgradeRequest("SPDY/3.1")), /^HTTP\/1\.1 502 /);
});

test("field 13: bytes sent before the 101 wait for it", async () => {
  const { promise, resolve } = Promise.withResolvers<TLSSocket>();
  answer = resolve;
  const client = await proxy.tls();
  const read = reading(client);
  client.write(`${upgradeRequest("SPDY/3.1")}sent with the head;`);
  const server = await promise;
  client.write("sent before the answer;");
  // Another whole exchange later they would have arrived.
  await proxy.raw(upgradeRequest("h2c"));
  assert.ok(!upstream.everything.includes("sent with the head"));
  server.write(SWITCH("SPDY/3.1"));
  await read.saw("101");
  await upstream.saw("sent with the head;sent before the answer;");
  client.destroy();
});

test("field 15: half-close passes in both directions", async () => {
  const half = await startRawUpstream({
    keepsHalfOpen: true,
    respond: (socket, received) => {
      if (received.endsWith("\r\n\r\n")) {
        socket.write(SWITCH("SPDY/3.1"));
        socket.once("end", () => socket.end("the last words of the server"));
      }
    },
  });
  const own = await startProxy({ upstream: half });
  const client = await own.tls({ allowHalfOpen: true } as object);
  const read = reading(client);
  client.write(upgradeRequest("SPDY/3.1"));
  await read.saw("101");
  client.end("the last words of the client");
  await read.saw("the last words of the server");
  await read.closed;
  assert.ok(half.everything.includes("the last words of the client"));
  assert.equal((await own.pipeline.outcome(1)).end, "complete");
  await own.close();
  await half.close();
});

test("field 15: a cut ends both sides at once", async () => {
  answer = (socket) => socket.write(SWITCH("SPDY/3.1"));
  const client = await proxy.tls();
  const read = reading(client);
  client.write(upgradeRequest("SPDY/3.1"));
  await read.saw("101");
  const server = upstream.sockets.at(-1);
  const closed = new Promise<void>((resolve) => server?.once("close", () => resolve()));
  proxy.pipeline.cutAll();
  await read.closed;
  await closed;
  assert.equal(proxy.pipeline.outcomes.at(-1)?.end, "cut");
});

test("field 15: a reset of the upstream ends the client's side", async () => {
  answer = (socket) => socket.write(SWITCH("SPDY/3.1"));
  const client = await proxy.tls();
  const read = reading(client);
  client.write(upgradeRequest("SPDY/3.1"));
  await read.saw("101");
  upstream.sockets.at(-1)?.destroy();
  await read.closed;
});

test("a refused upgrade never reaches the upstream", async () => {
  const refusal = {
    status: 403,
    headers: ["Content-Type", "application/json"],
    body: STATUS,
    closeConnection: false,
  };
  const pipeline = createRecordingPipeline(() => ({ kind: "refuse", refusal }));
  const own = await startProxy({ upstream, pipeline });
  const connections = upstream.connections;
  const text = await own.raw(upgradeRequest("websocket", "GET"));
  assert.match(text, /^HTTP\/1\.1 403 [\s\S]*not found/);
  assert.equal(upstream.connections, connections);
  assert.deepEqual(pipeline.streams, []);
  await own.close();
});

test("an upgrade whose identity has no headers goes without any credential (S14)", async () => {
  answer = (socket) => socket.write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
  const pipeline = createRecordingPipeline((request) => forwardVerdict(request, { identityHeaders: [] }));
  const own = await startProxy({ upstream, pipeline });
  const seen = upstream.everything.length;
  await own.raw(upgradeRequest("websocket"));
  assert.doesNotMatch(upstream.everything.slice(seen), /authorization|impersonate/i);
  await own.close();
});
