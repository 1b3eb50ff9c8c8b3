// Field test 18: HTTP/2 as only an attacker speaks it.
import assert from "node:assert/strict";
import { constants } from "node:http2";
import { after, before, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { createManualClock, systemClock } from "../../src/clock.ts";
import {
  always,
  askHttp2,
  createRecordingPipeline,
  get,
  pseudo,
  startProxy,
  startRawUpstream,
} from "../../src/concierge/impersonator/testing/harness.ts";
import type { ProxyHarness, RawUpstream } from "../../src/concierge/impersonator/testing/harness.ts";
import { frame, HEADERS, literal, PREFACE } from "./harness/raw-http2.ts";

let upstream: RawUpstream;
let proxy: ProxyHarness;

before(async () => {
  upstream = await startRawUpstream();
  proxy = await startProxy({ upstream });
});
after(async () => {
  await proxy.close();
  await upstream.close();
});

/** Waits for what other sockets bring about; the test's own time limit is the end. */
async function eventually(holds: () => boolean): Promise<void> {
  while (!holds()) {
    await new Promise((done) => setTimeout(done, 10));
  }
}

/** It still serves. */
async function alive(): Promise<void> {
  assert.match(await proxy.raw(get("/alive", ["Connection: close"])), /^HTTP\/1\.1 200 /);
}

/** Speaks raw HTTP/2 until the proxy ends the connection; answers the last GOAWAY's code, if there was one. */
async function speakHttp2(write: (socket: TLSSocket) => void): Promise<number | undefined> {
  const socket = await proxy.tls({ ALPNProtocols: ["h2"] });
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  const closed = new Promise<void>((done) => socket.once("close", () => done()));
  socket.write(PREFACE);
  write(socket);
  await closed;
  const bytes = Buffer.concat(chunks);
  let code: number | undefined;
  for (let offset = 0; offset + 9 <= bytes.length;) {
    const length = bytes.readUIntBE(offset, 3);
    if (bytes[offset + 3] === 7) {
      code = bytes.readUInt32BE(offset + 13);
    }
    offset += 9 + length;
  }
  return code;
}

test("field 18: a client that vanished is given up after three pings (R6)", async () => {
  const clock = createManualClock(systemClock.now());
  const watched = await startRawUpstream({
    respond: always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nevent\r\n"),
  });
  const own = await startProxy({ upstream: watched, clock });
  const socket = await own.tls({ ALPNProtocols: ["h2"] });
  const path = "/pods?watch=true";
  // Nobody behind this socket answers pings.
  socket.write(
    Buffer.concat([
      PREFACE,
      frame(
        1,
        5,
        1,
        Buffer.concat([
          HEADERS.subarray(0, 1),
          HEADERS.subarray(2),
          Buffer.from([0x04, path.length]),
          Buffer.from(path),
        ]),
      ),
    ]),
  );
  await eventually(() => own.pipeline.streams.length === 1);
  assert.equal(own.proxy.figures.http2Sessions, 1);
  for (let step = 0; step < 5; step += 1) {
    await clock.advance(30_000);
  }
  await eventually(() => own.proxy.figures.http2Sessions === 0);
  assert.equal((await own.pipeline.outcome(1)).end, "client-gone");
  socket.destroy();
  await own.close();
  await watched.close();
});

test("field 18: rapid reset ends the connection", async () => {
  await speakHttp2((socket) => {
    const cancel = Buffer.alloc(4);
    cancel.writeUInt32BE(constants.NGHTTP2_CANCEL);
    for (let stream = 1; stream < 20_000; stream += 2) {
      socket.write(Buffer.concat([frame(1, 5, stream, HEADERS), frame(3, 0, stream, cancel)]));
    }
  });
  await alive();
});

test("field 18: a flood of CONTINUATION frames ends the connection", async () => {
  await speakHttp2((socket) => {
    socket.write(frame(1, 1, 1, HEADERS));
    for (let count = 0; count < 10_000 && !socket.destroyed; count += 1) {
      socket.write(frame(9, 0, 1, Buffer.from([0x00, 0x01, 0x61, 0x01, 0x62])));
    }
  });
  await alive();
});

test("field 18: a flood of PINGs whose answers nobody reads ends the connection, or is not read any more", async () => {
  const socket = await proxy.tls({ ALPNProtocols: ["h2"] });
  socket.pause();
  socket.write(PREFACE);
  const pings = Buffer.concat(Array.from({ length: 5_000 }, () => frame(6, 0, 0, Buffer.alloc(8))));
  const before = process.memoryUsage().rss;
  // 40 MB of them, as far as they are taken.
  for (let count = 0; count < 470 && !socket.destroyed; count += 1) {
    if (!socket.write(pings)) {
      await Promise.race([
        new Promise((done) => socket.once("drain", done)),
        new Promise((done) => socket.once("close", done)),
        alive(),
      ]);
    }
    if (socket.writableLength > 8 * 1024 * 1024) {
      break;
    }
  }
  await alive();
  assert.ok(process.memoryUsage().rss - before < 128 * 1024 * 1024, "what nobody reads is not kept");
  socket.destroy();
});

test("field 18: a flood of SETTINGS ends the connection", async () => {
  const code = await speakHttp2((socket) => {
    for (let count = 0; count < 5_000; count += 1) {
      socket.write(frame(4, 0, 0, Buffer.alloc(600)));
    }
  });
  assert.notEqual(code, 0);
  await alive();
});

test("field 18: malformed HEADERS, a wrong preface and a stream of the wrong number end the connection", async () => {
  for (const bytes of [
    frame(1, 5, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
    frame(1, 5, 2, HEADERS),
    frame(0, 0, 5, Buffer.from("data of no stream")),
    Buffer.from("GET / HTTP/1.1\r\n\r\n"),
  ]) {
    await speakHttp2((socket) => socket.end(bytes));
    await alive();
  }
});

test("field 18: :authority and a different Host are refused, the same said twice is one", async () => {
  const seen = upstream.everything.length;
  const session = await proxy.http2();
  assert.equal((await askHttp2(session, [...pseudo("/host"), "host", "other"])).status, 400);
  assert.equal(upstream.everything.length, seen);
  const again = await proxy.http2();
  assert.equal((await askHttp2(again, [...pseudo("/host"), "host", "kubernetes"])).status, 200);
  assert.equal(upstream.everything.slice(seen).toLowerCase().split("host: ").length - 1, 1);
  session.destroy();
  again.destroy();
});

test("field 18: a window of zero holds nobody else up, and stops the upstream", async () => {
  const body = "z".repeat(4 * 1024 * 1024);
  const big = await startRawUpstream({
    respond: always(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`),
  });
  const own = await startProxy({ upstream: big });
  const greedy = await own.http2({ settings: { initialWindowSize: 0 } });
  for (let count = 0; count < 20; count += 1) {
    const stream = greedy.request(pseudo(`/greedy-${count}`), { endStream: true });
    stream.on("error", () => {});
  }
  await big.saw("/greedy-19");
  const other = await own.http2();
  assert.equal((await askHttp2(other, pseudo("/other"))).body.length, body.length);
  greedy.destroy();
  other.destroy();
  await own.close();
  await big.close();
});

test("field 18: trailers of the client go nowhere", async () => {
  const seen = upstream.everything.length;
  const session = await proxy.http2();
  const stream = session.request(pseudo("/trailers", "POST"), { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "impersonate-user": "root" }));
  stream.on("error", () => {});
  const status = new Promise((done) => stream.once("response", (headers) => done(headers[":status"])));
  stream.resume();
  stream.end("body");
  assert.equal(await status, 200);
  session.destroy();
  const text = await proxy.raw(
    "POST /trailers HTTP/1.1\r\nHost: kubernetes\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nTrailer: Impersonate-User\r\n\r\n4\r\nbody\r\n0\r\nImpersonate-User: root\r\n\r\n",
  );
  assert.match(text, /^HTTP\/1\.1 200 /);
  assert.ok(!upstream.everything.slice(seen).includes("root"));
});

test("field 18: more than 1,000 streams of one connection are not served at a time", async () => {
  const { promise: never } = Promise.withResolvers<never>();
  const pipeline = createRecordingPipeline(() => never);
  const own = await startProxy({ upstream, pipeline });
  const session = await own.http2();
  await new Promise<void>((done) => session.once("remoteSettings", () => done()));
  assert.equal(session.remoteSettings.maxConcurrentStreams, 1_000);
  session.destroy();
  await own.close();
});

test("field 18: floods of empty DATA, of PRIORITY and of WINDOW_UPDATE frames leave everybody else served", async () => {
  const weight = Buffer.from([0, 0, 0, 3, 16]);
  const update = Buffer.from([0, 0, 0, 1]);
  for (const flood of [frame(0, 0, 1), frame(2, 0, 3, weight), frame(8, 0, 0, update)]) {
    const socket = await proxy.tls({ ALPNProtocols: ["h2"] });
    socket.resume();
    socket.write(PREFACE);
    // A POST that never ends: DATA of it may come.
    socket.write(frame(1, 4, 1, Buffer.concat([Buffer.from([0x83]), HEADERS.subarray(1)])));
    const many = Buffer.concat(Array.from({ length: 1_000 }, () => flood));
    for (let count = 0; count < 50 && !socket.destroyed; count += 1) {
      socket.write(many);
    }
    await alive();
    socket.destroy();
  }
});

test("field 18: a rapid reset costs the upstream no more than was let in", async () => {
  const asked = proxy.pipeline.began.length;
  await speakHttp2((socket) => {
    const cancel = Buffer.alloc(4);
    cancel.writeUInt32BE(constants.NGHTTP2_CANCEL);
    const storm = [];
    for (let stream = 1; stream < 20_000; stream += 2) {
      storm.push(frame(1, 5, stream, HEADERS), frame(3, 0, stream, cancel));
    }
    socket.write(Buffer.concat(storm));
  });
  await alive();
  assert.ok(
    proxy.pipeline.began.length - asked < 5_000,
    `${proxy.pipeline.began.length - asked} were asked for`,
  );
});

for (const [name, value] of [
  ["connection", "impersonate-user"],
  ["keep-alive", "timeout=5"],
  ["proxy-connection", "keep-alive"],
  ["transfer-encoding", "chunked"],
  ["upgrade", "websocket"],
  ["te", "gzip"],
  ["Impersonate-User", "root"],
  ["impersonate-user ", "root"],
  ["x-a", "1\r\nimpersonate-user: root"],
  ["x-a", "1\0"],
  ["x\0a", "1"],
  ["", "1"],
  [":path", "/secrets"],
  [":protocol", "websocket"],
] as const) {
  test(`field 2, 11 and 18: ${JSON.stringify(`${name}: ${value}`)} in bytes of HTTP/2 reaches nobody`, async () => {
    const seen = upstream.everything.length;
    const socket = await proxy.tls({ ALPNProtocols: ["h2"] });
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.write(PREFACE);
    socket.write(frame(1, 5, 1, Buffer.concat([HEADERS, literal(name, value)])));
    // A RST_STREAM, a GOAWAY or an answer to the stream: something must come.
    await new Promise<void>((done) => {
      const look = (): void => {
        if (socket.destroyed || answersStream(Buffer.concat(chunks))) {
          done();
        }
      };
      socket.on("data", look);
      socket.once("close", () => done());
    });
    socket.destroy();
    const got = upstream.everything.slice(seen);
    assert.ok(!/root|secrets|gzip|chunked|timeout=5|websocket/.test(got), got);
  });
}

/** Whether a stream was answered or reset, or the connection given up. */
function answersStream(bytes: Buffer): boolean {
  for (let offset = 0; offset + 9 <= bytes.length; offset += 9 + bytes.readUIntBE(offset, 3)) {
    if ([1, 3, 7].includes(bytes[offset + 3] ?? 0)) {
      return true;
    }
  }
  return false;
}

test("field 18: extended CONNECT is not offered, and not taken", async () => {
  const seen = upstream.everything.length;
  const session = await proxy.http2();
  await new Promise<void>((done) => session.once("remoteSettings", () => done()));
  assert.notEqual(session.remoteSettings.enableConnectProtocol, true);
  const { status } = await askHttp2(session, [":method", "CONNECT", ":authority", "kubernetes:443"]);
  assert.ok(status === 0 || status >= 400, String(status));
  session.destroy();
  assert.equal(upstream.everything.length, seen);
});

test("field 19: who is nobody over HTTP/2 is told to leave", async () => {
  const pipeline = createRecordingPipeline(() => ({
    kind: "refuse",
    refusal: { status: 401, headers: [], body: "no", closeConnection: true },
  }));
  const own = await startProxy({ upstream, pipeline });
  const session = await own.http2();
  const closed = new Promise<void>((done) => session.once("close", () => done()));
  assert.equal((await askHttp2(session, pseudo("/x"))).status, 401);
  await closed;
  await own.close();
});
