// Field test 15: sessions live as long as they are wanted, and a gigabyte costs no more memory than a line.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TLSSocket } from "node:tls";
import { get, startProxy, startRawUpstream } from "../../src/concierge/impersonator/testing/harness.ts";

const MEGABYTE = 1024 * 1024;
/** As much as a shared machine carries in a few seconds; memory would show a tenth of it. */
const AMOUNT = 384 * MEGABYTE;
/** Sockets' buffers, and garbage that waits for its collection. */
const GROWTH = 96 * MEGABYTE;
const EXEC =
  "POST /api/v1/namespaces/a/pods/b/exec HTTP/1.1\r\nHost: kubernetes\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\n";
const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n";

/** Writes `total` bytes as fast as they are taken. */
function pour(socket: TLSSocket, total: number): void {
  const block = Buffer.alloc(256 * 1024, "x");
  let left = total;
  const more = (): void => {
    while (left > 0 && !socket.destroyed) {
      left -= block.length;
      if (!socket.write(block)) {
        socket.once("drain", more);
        return;
      }
    }
  };
  more();
}

/** The highest resident memory while so many bytes arrive, above what it was before. */
async function growthWhile(socket: TLSSocket, total: number): Promise<number> {
  const before = process.memoryUsage.rss();
  let highest = before;
  let got = 0;
  await new Promise<void>((done) => {
    socket.on("data", (chunk: Buffer) => {
      got += chunk.length;
      highest = Math.max(highest, process.memoryUsage.rss());
      if (got >= total) {
        done();
      }
    });
  });
  return highest - before;
}

/** The first bytes that match. */
function saw(socket: TLSSocket, pattern: RegExp): Promise<void> {
  return new Promise((done) => {
    let text = "";
    const look = (chunk: Buffer): void => {
      text += chunk.toString("latin1");
      if (pattern.test(text)) {
        socket.off("data", look);
        done();
      }
    };
    socket.on("data", look);
  });
}

for (const [name, request, head] of [
  [
    "an answer of a known length",
    get("/api/v1/namespaces/a/pods/b/log"),
    `HTTP/1.1 200 OK\r\nContent-Length: ${AMOUNT}\r\n\r\n`,
  ],
  ["a session", EXEC, SWITCH],
] as const) {
  test(`field 15: ${AMOUNT / MEGABYTE} MB of ${name} pass with flat memory`, async (context) => {
    let server: TLSSocket | undefined;
    const upstream = await startRawUpstream({
      respond: (socket) => {
        if (server === undefined) {
          server = socket;
          socket.write(head);
        }
      },
    });
    const proxy = await startProxy({ upstream });
    const client = await proxy.tls();
    client.write(request);
    await saw(client, /\r\n\r\n/);
    assert.ok(server !== undefined);
    // Warm: what the first bytes allocate is not growth.
    pour(server, 16 * MEGABYTE);
    await growthWhile(client, 16 * MEGABYTE - 64 * 1024);
    const measured = growthWhile(client, AMOUNT - 20 * MEGABYTE);
    pour(server, AMOUNT - 16 * MEGABYTE);
    const growth = await measured;
    context.diagnostic(`resident memory grew by ${Math.round(growth / MEGABYTE)} MB`);
    assert.ok(growth < GROWTH, `${growth} bytes`);
    client.destroy();
    await proxy.close();
    await upstream.close();
  });
}

test("field 15: an idle session outlives every time limit, an idle connection does not", async () => {
  const upstream = await startRawUpstream({
    respond: (socket, received) => {
      socket.write(received.endsWith("\r\n\r\n") ? SWITCH : "answer");
    },
  });
  const proxy = await startProxy({
    upstream,
    timeouts: { handshake: 300, headers: 300, idle: 300, checkingInterval: 50 },
  });
  const client = await proxy.tls();
  client.write(EXEC);
  await saw(client, /101[^]*\r\n\r\n/);
  // Another connection, begun later and idle all its life, is gone before the session is used again; twice.
  for (const _round of [1, 2]) {
    const idle = await proxy.tls();
    idle.resume();
    await new Promise<void>((done) => idle.once("close", () => done()));
  }
  assert.equal(client.destroyed, false);
  const answered = saw(client, /answer/);
  client.write("a word");
  await answered;
  client.destroy();
  await proxy.close();
  await upstream.close();
});

test("field 15: a client that leaves ends the upstream's side of a session", async () => {
  const upstream = await startRawUpstream({
    respond: (socket) => {
      socket.write(SWITCH);
    },
  });
  const proxy = await startProxy({ upstream });
  const client = await proxy.tls();
  client.write(EXEC);
  await saw(client, /101[^]*\r\n\r\n/);
  const gone = new Promise<void>((done) => upstream.sockets.at(-1)?.once("close", () => done()));
  client.destroy();
  await gone;
  await proxy.pipeline.outcome(1);
  await proxy.close();
  await upstream.close();
});
