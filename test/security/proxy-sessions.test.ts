import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, test } from "node:test";
import type { TLSSocket } from "node:tls";
import type { TestClientCertificate } from "../../src/concierge/api/testing/harness.ts";
import { certificateOf } from "../../src/concierge/impersonator/testing/pipeline-harness.ts";
import { HOST, useIdentityProxy } from "./harness/identity-suite.ts";

// Field tests 14 and 16, and of 15 what ends a stream: sessions and watches of somebody whose rights change.

const suite = useIdentityProxy();

/** A watch of which something was seen. */
async function watch(
  certificate = suite.alice,
): Promise<{ readonly socket: TLSSocket; readonly ended: Promise<unknown> }> {
  const socket = await suite.proxy.connect(certificate);
  socket.on("error", () => {});
  const ended = once(socket, "close");
  const first = once(socket, "data");
  socket.write(`GET /api/v1/pods?watch=1 HTTP/1.1\r\n${HOST}\r\n\r\n`);
  await first;
  socket.resume();
  return { socket, ended };
}

/** A session whose 101 was seen. */
async function session(certificate: TestClientCertificate): Promise<TLSSocket> {
  const socket = await suite.proxy.connect(certificate);
  socket.on("error", () => {});
  const agreed = once(socket, "data");
  socket.write(
    `POST /api/v1/namespaces/d/pods/p/exec?command=sh HTTP/1.1\r\n${HOST}\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\n`,
  );
  assert.match(String((await agreed)[0]), /^HTTP\/1\.1 101 /);
  socket.resume();
  return socket;
}

test("field 14: a session by WebSocket needs create and get", async () => {
  for (const missing of ["get", "create"]) {
    suite.decide = (_user, { verb }) => ({ allowed: verb !== missing, reason: "" });
    for (const subresource of ["exec", "attach", "portforward"]) {
      suite.proxy.seen.length = 0;
      const answer = await suite.proxy.raw(
        [
          `GET /api/v1/namespaces/d/pods/p/${subresource} HTTP/1.1`,
          ...[HOST, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"],
          "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ],
        { certificate: suite.alice },
      );
      assert.equal(answer.status, 403, answer.body);
      assert.match(answer.body, new RegExp(`cannot ${missing} resource`));
      assert.deepEqual(suite.proxy.seen, []);
    }
  }
});

describe("field 15: revoked means cut", () => {
  test("S15: who is denied loses an open watch, and does not come back", async () => {
    const { ended } = await watch();
    suite.proxy.world.state.denyList.set({ entries: [{ user: "alice", until: Infinity }], problems: [] });
    try {
      await ended;
      assert.equal((await suite.refusedUnseen([])).status, 401);
    } finally {
      suite.proxy.world.state.denyList.set({ entries: [], problems: [] });
    }
  });

  test("S16: a right that was taken away ends an open watch at the next check", async () => {
    const { ended } = await watch();
    suite.decide = () => ({ allowed: false, reason: "" });
    await suite.proxy.world.clock.advance(66_001);
    await ended;
    assert.ok(suite.proxy.world.metrics.cuts.includes("access"));
  });

  test("S15: a session that left HTTP ends as well, after its 101", async () => {
    const socket = await session(suite.alice);
    const ended = once(socket, "close");
    suite.proxy.world.state.denyList.set({ entries: [{ user: "alice", until: Infinity }], problems: [] });
    try {
      await ended;
      const [seen] = suite.proxy.seen;
      assert.equal(seen?.target, "/api/v1/namespaces/d/pods/p/exec?command=sh");
      assert.deepEqual(suite.proxy.valuesSeen("impersonate-user"), ["alice"]);
      assert.ok(suite.proxy.world.metrics.cuts.includes("deny_list"));
    } finally {
      suite.proxy.world.state.denyList.set({ entries: [], problems: [] });
    }
  });
});

test("field 11: what cannot stream is not upgraded, and the upstream sees nothing", async () => {
  for (const target of ["/api/v1/pods", "/api/v1/namespaces/d/pods/p/eviction", "/healthz", "/apis"]) {
    const answer = await suite.proxy.raw(
      [`GET ${target} HTTP/1.1`, HOST, "Connection: Upgrade", "Upgrade: websocket"],
      { certificate: suite.alice },
    );
    assert.equal(answer.status, 400, target);
    assert.deepEqual(suite.proxy.seen, []);
  }
});

describe("field 16: expiry in the middle of a stream", () => {
  test("expiry alone does not cut a watch or a session, and opens no new one", async () => {
    const { world } = suite.proxy;
    const soon = new Date(Math.floor(world.clock.now() / 1000) * 1000 + 30_000);
    const short = await certificateOf(world, "short", [], soon);
    const { socket: watching } = await watch(short);
    const socket = await session(short);
    await world.clock.advance(120_000);
    assert.equal(watching.destroyed, false);
    const echoed = once(socket, "data");
    socket.write("still here");
    assert.equal(String((await echoed)[0]), "still here");
    assert.equal((await suite.refusedUnseen([], short)).status, 401);
    watching.destroy();
    socket.destroy();
  });
});
