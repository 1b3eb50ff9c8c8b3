// Field test 15, the HTTP part: streams keep flowing, stand still together with their readers, and end with either side.
import assert from "node:assert/strict";
import { createSecureServer } from "node:http2";
import type { ServerHttp2Stream } from "node:http2";
import { connect, createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { after, before, test } from "node:test";
import type { TLSSocket } from "node:tls";
import {
  get,
  pseudo,
  startProxy,
  startRawUpstream,
  testAuthority,
  testServingCertificate,
} from "../../src/concierge/impersonator/testing/harness.ts";
import type { ProxyHarness, RawUpstream } from "../../src/concierge/impersonator/testing/harness.ts";

const WATCH = "/api/v1/pods?watch=true";
let upstream: RawUpstream;
let proxy: ProxyHarness;
let respond: (socket: TLSSocket, received: string) => void;

before(async () => {
  upstream = await startRawUpstream({ respond: (socket, received) => respond(socket, received) });
  proxy = await startProxy({ upstream });
});
after(async () => {
  await proxy.close();
  await upstream.close();
});

const CHUNKED = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

test("field 15: each event of a watch goes out at once, over HTTP/1.1", async () => {
  const { promise, resolve } = Promise.withResolvers<TLSSocket>();
  respond = (socket) => {
    socket.write(CHUNKED);
    resolve(socket);
  };
  const client = await proxy.tls();
  let text = "";
  let check = (): void => {};
  client.on("data", (bytes: Buffer) => {
    text += bytes.toString();
    check();
  });
  const saw = (what: string): Promise<void> =>
    new Promise((done) => {
      check = () => {
        if (text.includes(what)) {
          done();
        }
      };
      check();
    });
  client.write(get(WATCH));
  const server = await promise;
  // Nothing but the head: it must not wait for an event.
  await saw("\r\n\r\n");
  for (const event of ["first", "second", "bookmark"]) {
    server.write(chunk(event));
    await saw(event);
  }
  const gone = new Promise<void>((done) => server.once("close", () => done()));
  client.destroy();
  await gone;
  assert.equal((await proxy.pipeline.outcome(1)).end, "client-gone");
  assert.deepEqual(proxy.pipeline.streams, [200]);
});

test("field 15: each event of a watch goes out at once, over HTTP/2, and a reset of the client ends the upstream's side", async () => {
  const { promise, resolve } = Promise.withResolvers<TLSSocket>();
  respond = (socket) => {
    socket.write(CHUNKED);
    resolve(socket);
  };
  const session = await proxy.http2();
  const stream = session.request(pseudo(WATCH), { endStream: true });
  stream.on("error", () => {});
  const server = await promise;
  await new Promise<void>((done) => stream.once("response", () => done()));
  for (const event of ["first", "second"]) {
    const arrived = new Promise<string>((done) =>
      stream.once("data", (bytes: Buffer) => done(bytes.toString())),
    );
    server.write(chunk(event));
    assert.equal(await arrived, event);
  }
  const gone = new Promise<void>((done) => server.once("close", () => done()));
  stream.close(8);
  await gone;
  session.destroy();
});

for (const [protocol, open] of [
  ["HTTP/1.1", (): Promise<{ closed: Promise<unknown> }> => openHttp1()],
  ["HTTP/2", (): Promise<{ closed: Promise<unknown> }> => openHttp2()],
] as const) {
  test(`field 15: a cut breaks a watch off over ${protocol}`, async () => {
    respond = (socket) => socket.write(CHUNKED + chunk("event"));
    const { closed } = await open();
    proxy.pipeline.cutAll();
    await closed;
    assert.equal(proxy.pipeline.outcomes.at(-1)?.end, "cut");
  });

  test(`field 15: an upstream that breaks off breaks the client's answer off over ${protocol}`, async () => {
    respond = (socket) => socket.write(CHUNKED + chunk("event"));
    const { closed } = await open();
    upstream.sockets.at(-1)?.destroy();
    assert.notEqual(await closed, "complete");
    assert.equal(proxy.pipeline.outcomes.at(-1)?.end, "upstream-error");
  });
}

async function openHttp1(): Promise<{ closed: Promise<unknown> }> {
  const client = await proxy.tls();
  let text = "";
  await new Promise<void>((done) => {
    client.on("data", (bytes: Buffer) => {
      text += bytes.toString();
      if (text.includes("event")) {
        done();
      }
    });
    client.write(get(WATCH));
  });
  return {
    closed: new Promise((done) =>
      client.once("close", () => done(text.includes("0\r\n\r\n") ? "complete" : "broken")),
    ),
  };
}

async function openHttp2(): Promise<{ closed: Promise<unknown> }> {
  const session = await proxy.http2();
  const stream = session.request(pseudo(WATCH), { endStream: true });
  stream.on("error", () => {});
  await new Promise<void>((done) => stream.once("data", () => done()));
  return {
    closed: new Promise((done) =>
      stream.once("close", () => {
        session.destroy();
        done(stream.rstCode === 0 ? "complete" : "broken");
      }),
    ),
  };
}

const MANY = 64 * 1024 * 1024;

/** Writes `total` bytes as fast as they are taken. */
function flood(socket: TLSSocket, total: number): void {
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

test("field 15: a slow reader stops the upstream, and memory stays flat", async () => {
  respond = (socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${MANY}\r\n\r\n`);
    flood(socket, MANY);
  };
  const client = await proxy.tls();
  client.pause();
  client.write(get("/api/v1/big?watch=true", ["Connection: close"]));
  await upstream.saw("/api/v1/big");
  const server = upstream.sockets.at(-1);
  // Stands still when nothing more goes out in a while.
  let written = -1;
  while (written !== server?.bytesWritten) {
    written = server?.bytesWritten ?? 0;
    await new Promise((done) => setTimeout(done, 300));
  }
  assert.ok(written < 32 * 1024 * 1024, `${written} bytes went nowhere`);
  let got = 0;
  client.on("data", (bytes: Buffer) => {
    got += bytes.length;
  });
  client.resume();
  await new Promise<void>((done) => client.once("close", () => done()));
  assert.ok(got >= MANY);
});

test("field 15: a slow upstream stops the client's upload", async () => {
  const { promise, resolve } = Promise.withResolvers<TLSSocket>();
  respond = (socket) => {
    socket.pause();
    resolve(socket);
  };
  const client = await proxy.tls();
  client.write(
    `POST /api/v1/upload?watch=true HTTP/1.1\r\nHost: kubernetes\r\nContent-Length: ${MANY}\r\n\r\n`,
  );
  const server = await promise;
  flood(client, MANY);
  let written = -1;
  while (written !== client.bytesWritten) {
    written = client.bytesWritten;
    await new Promise((done) => setTimeout(done, 300));
  }
  assert.ok(written < 32 * 1024 * 1024, `${written} bytes went nowhere`);
  client.destroy();
  server.resume();
});

test("watches share HTTP/2 connections to an upstream that has it, and never wait for short calls (R4)", async () => {
  const authority = await testAuthority("kubernetes");
  const pair = await testServingCertificate(authority);
  const streams: ServerHttp2Stream[] = [];
  let sockets = 0;
  const server = createSecureServer({
    key: pair.privateKeyPem,
    cert: pair.certificatePem,
    settings: { maxConcurrentStreams: 100 },
  });
  server.on("session", () => {
    sockets += 1;
  });
  server.on("stream", (stream: ServerHttp2Stream) => {
    stream.on("error", () => {});
    stream.respond({ ":status": 200, "content-type": "application/json" });
    stream.write("event");
    streams.push(stream);
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const own = await startProxy({
    upstream: {
      url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
      caPem: authority.certificatePem,
    },
  });
  const session = await own.http2();
  const open = await Promise.all(
    Array.from({ length: 200 }, async () => {
      const stream = session.request(pseudo(WATCH), { endStream: true });
      stream.on("error", () => {});
      await new Promise<void>((done) => stream.once("data", () => done()));
      return stream;
    }),
  );
  assert.equal(streams.length, 200);
  assert.ok(sockets >= 3 && sockets <= 6, `${sockets} connections for 200 watches`);
  const ended = new Promise<void>((done) => open[0]?.once("end", () => done()));
  streams.at(0)?.end("last");
  await Promise.race([ended, ...open.map((each) => new Promise((done) => each.once("end", done)))]);
  session.destroy();
  await own.close();
  server.close();
});

test("watches end when the upstream that has HTTP/2 is killed: it says nothing but that its side is closed", async () => {
  const authority = await testAuthority("kubernetes");
  const pair = await testServingCertificate(authority);
  const server = createSecureServer({ key: pair.privateKeyPem, cert: pair.certificatePem });
  server.on("stream", (stream: ServerHttp2Stream) => {
    stream.on("error", () => {});
    stream.respond({ ":status": 200, "content-type": "application/json" });
    stream.write("event");
  });
  // Between the proxy and the server: what the kernel does for a process that is gone, no alert and no GOAWAY.
  const connections: Socket[] = [];
  const wire = createServer((socket) => {
    connections.push(socket);
    const onwards = connect((server.address() as AddressInfo).port, "127.0.0.1");
    socket.on("error", () => {});
    onwards.on("error", () => {});
    socket.pipe(onwards);
    onwards.pipe(socket, { end: false });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  await new Promise<void>((done) => wire.listen(0, "127.0.0.1", done));
  const own = await startProxy({
    upstream: {
      url: `https://127.0.0.1:${(wire.address() as AddressInfo).port}`,
      caPem: authority.certificatePem,
    },
  });
  const session = await own.http2();
  const stream = session.request(pseudo(WATCH), { endStream: true });
  stream.on("error", () => {});
  await new Promise<void>((done) => stream.once("data", () => done()));
  const closed = new Promise<void>((done) => stream.once("close", () => done()));
  connections.forEach((socket) => socket.end());
  await closed;
  assert.notEqual(stream.rstCode, 0, "a watch that broke off looks complete");
  assert.equal(own.pipeline.outcomes.at(-1)?.end, "upstream-error");
  session.destroy();
  await own.close();
  connections.forEach((socket) => socket.destroy());
  wire.close();
  server.close();
});

test("a watch ends upstream when its HTTP/2 client is killed: it says nothing but that its side is closed", async () => {
  respond = (socket) => socket.write(CHUNKED + chunk("event"));
  const connections: Socket[] = [];
  const wire = createServer((socket) => {
    const onwards = connect(proxy.port, "127.0.0.1");
    connections.push(socket, onwards);
    socket.on("error", () => {});
    onwards.on("error", () => {});
    onwards.pipe(socket);
    socket.pipe(onwards, { end: false });
  });
  await new Promise<void>((done) => wire.listen(0, "127.0.0.1", done));
  const session = await proxy.http2({ port: (wire.address() as AddressInfo).port });
  const stream = session.request(pseudo(WATCH), { endStream: true });
  stream.on("error", () => {});
  await new Promise<void>((done) => stream.once("data", () => done()));
  const gone = new Promise<void>((done) => upstream.sockets.at(-1)?.once("close", () => done()));
  const before = proxy.pipeline.outcomes.length;
  connections[1]?.end();
  await gone;
  assert.equal(proxy.pipeline.outcomes[before]?.end, "client-gone");
  assert.equal(proxy.proxy.figures.http2Sessions, 0);
  session.destroy();
  connections.forEach((socket) => socket.destroy());
  wire.close();
});
