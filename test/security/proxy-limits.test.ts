// Field tests 20, 21 and 22: clients that ask for too much, too slowly, too often, or in a form that should break something.
import assert from "node:assert/strict";
import { connect as connectTcp } from "node:net";
import { after, before, test } from "node:test";
import { createManualClock, systemClock } from "../../src/clock.ts";
import {
  always,
  askHttp2,
  createRecordingPipeline,
  forwardVerdict,
  get,
  pseudo,
  startProxy,
  startRawUpstream,
} from "../../src/concierge/impersonator/testing/harness.ts";
import type { ProxyHarness, RawUpstream } from "../../src/concierge/impersonator/testing/harness.ts";
import { PREFACE } from "./harness/raw-http2.ts";

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

const GROUPS = Array.from({ length: 2_000 }, (_, index) => `team-${index}-with-a-name`);

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

test("field 20: 2,000 groups reach the upstream, asked for over HTTP/1.1 and HTTP/2 (H6)", async () => {
  const pipeline = createRecordingPipeline((request) =>
    forwardVerdict(request, { identityHeaders: GROUPS.flatMap((group) => ["Impersonate-Group", group]) }),
  );
  const own = await startProxy({ upstream, pipeline });
  const lines = GROUPS.map((group) => `X-Remote-Group: ${group}`);
  const seen = upstream.everything.length;
  assert.match(await own.raw(get("/groups-h1", [...lines, "Connection: close"])), /^HTTP\/1\.1 200 /);
  const session = await own.http2();
  const pairs = GROUPS.flatMap((group) => ["x-remote-group", group]);
  assert.equal((await askHttp2(session, [...pseudo("/groups-h2"), ...pairs])).status, 200);
  session.close();
  assert.equal(upstream.everything.slice(seen).split("Impersonate-Group: ").length - 1, 4_000);
  for (const request of pipeline.began) {
    assert.equal(request.rawHeaders.filter((name) => name.toLowerCase() === "x-remote-group").length, 2_000);
  }
  await own.close();
});

test("field 20: 2,000 headers of the upstream reach the client over HTTP/1.1 and HTTP/2 (H6)", async () => {
  const headers = GROUPS.map((group) => `X-Group: ${group}\r\n`).join("");
  const big = await startRawUpstream({
    respond: always(`HTTP/1.1 200 OK\r\n${headers}Content-Length: 2\r\n\r\nok`),
  });
  const own = await startProxy({ upstream: big });
  const text = await own.raw(get("/", ["Connection: close"]));
  assert.equal(text.split("X-Group: ").length - 1, 2_000);
  const session = await own.http2();
  const answer = await askHttp2(session, pseudo("/"));
  assert.equal(answer.headers.filter((name) => name === "x-group").length, 2_000);
  session.close();
  await own.close();
  await big.close();
});

test("field 20: more than 1 MiB of headers is a 431, and the upstream sees nothing", async () => {
  const seen = upstream.everything.length;
  const lines = Array.from({ length: 70 }, (_, index) => `X-Long-${index}: ${"y".repeat(16_000)}`);
  assert.match(await proxy.raw(get("/", lines)), /^HTTP\/1\.1 431 /);
  const session = await proxy.http2();
  // The same value again and again costs the client a byte each and us all of them.
  const pairs = Array.from({ length: 400 }, () => ["x-long", "y".repeat(3_000)]).flat();
  assert.equal((await askHttp2(session, [...pseudo("/"), ...pairs])).status, 431);
  session.destroy();
  assert.equal(upstream.everything.length, seen);
});

test("field 21: a client that never finishes its headers is closed", async () => {
  const own = await startProxy({ upstream, timeouts: { headers: 300, checkingInterval: 50 } });
  const text = await own.raw("GET /slow HTTP/1.1\r\nHost: kubernetes\r\nX-A: ");
  assert.match(text, /^HTTP\/1\.1 408 /);
  await own.close();
});

test("field 21: a client that never finishes its handshake is closed", async () => {
  const own = await startProxy({ upstream, timeouts: { handshake: 200 } });
  for (const bytes of [Buffer.alloc(0), Buffer.from([22, 3, 1, 2, 0, 1, 0])]) {
    const socket = connectTcp(own.port, "127.0.0.1");
    socket.on("error", () => {});
    if (bytes.length > 0) {
      socket.write(bytes);
    }
    await new Promise<void>((done) => socket.once("close", () => done()));
  }
  await eventually(() => own.proxy.figures.connections === 0);
  await own.close();
});

test("field 21: an idle connection ends, one with a watch lives on", async () => {
  const clock = createManualClock(systemClock.now());
  const watched = await startRawUpstream({
    respond: always("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nevent\r\n"),
  });
  const own = await startProxy({ upstream: watched, clock });
  const idle = await own.http2();
  const busy = await own.http2();
  const stream = busy.request(pseudo("/pods?watch=true"), { endStream: true });
  stream.on("error", () => {});
  await new Promise<void>((done) => stream.once("data", () => done()));
  const closed = new Promise<void>((done) => idle.once("close", () => done()));
  for (let step = 0; step < 4; step += 1) {
    await clock.advance(30_000);
    // The proxy's ping was answered before the second of ours is.
    for (const _round of [1, 2]) {
      await new Promise((done) => (busy.closed ? done(undefined) : busy.ping(done)));
    }
  }
  await closed;
  assert.equal(busy.closed, false);
  assert.equal(own.proxy.figures.http2Sessions, 1);
  busy.destroy();
  await own.close();
  await watched.close();
});

test("field 22: no bytes on any socket end the process", async () => {
  const failures: unknown[] = [];
  const note = (error: unknown): void => void failures.push(error);
  process.on("uncaughtException", note);
  process.on("unhandledRejection", note);
  const random = (length: number): Buffer =>
    Buffer.from(Array.from({ length }, (_, index) => (index * 7919 + length * 31) & 255));
  for (let round = 1; round <= 40; round += 1) {
    const tcp = connectTcp(proxy.port, "127.0.0.1");
    tcp.on("error", () => {});
    tcp.resume();
    tcp.write(
      round % 2 === 0
        ? random(round * 13)
        : Buffer.concat([Buffer.from([22, 3, 1, 0, round]), random(round)]),
    );
    tcp.end();
    const socket = await proxy.tls({
      servername: round % 3 === 0 ? `${"a".repeat(60)}.${round}` : "LOCALHOST",
      checkServerIdentity: () => undefined,
      ALPNProtocols: [round % 2 === 0 ? "h2" : "http/1.1"],
    });
    socket.resume();
    socket.write(round % 4 === 0 ? PREFACE : get("/fuzz").slice(0, round));
    socket.write(random(round * 17));
    if (round % 5 === 0) {
      socket.destroy();
    } else {
      socket.end();
    }
  }
  await alive();
  // Whatever it came to, it has come to an end.
  await eventually(() => proxy.proxy.figures.connections === 0);
  process.off("uncaughtException", note);
  process.off("unhandledRejection", note);
  assert.deepEqual(failures, []);
});

test("field 22: a client that offers no protocol we know fails alone", async () => {
  await assert.rejects(proxy.tls({ ALPNProtocols: ["spdy/1"] }));
  await alive();
});
