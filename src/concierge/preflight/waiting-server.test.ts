import assert from "node:assert/strict";
import { request } from "node:https";
import { text } from "node:stream/consumers";
import { test, type TestContext } from "node:test";
import { connect } from "node:tls";
import { systemClock } from "../../clock.ts";
import { startWaitingServer } from "./waiting-server.ts";

async function start(context: TestContext) {
  const server = await startWaitingServer({ host: "127.0.0.1", port: 0, clock: systemClock });
  context.after(() => server.close());
  const ask = (path: string, method = "GET"): Promise<readonly [number | undefined, string]> =>
    new Promise((resolve, reject) => {
      const outgoing = request(
        { host: "127.0.0.1", port: server.port, path, method, rejectUnauthorized: false, agent: false },
        (response) => {
          assert.equal(response.headers.connection, "close");
          text(response).then((body) => resolve([response.statusCode, body]), reject);
        },
      );
      outgoing.on("error", reject);
      outgoing.end();
    });
  return { server, ask };
}

test("is alive and not ready, by the names of what is missing", async (context) => {
  const { server, ask } = await start(context);
  server.setMissing(["permission/cluster/nodes:list", "custom-resource-definition/a.b"]);
  for (const path of ["/healthz", "/livez"]) {
    assert.deepEqual(await ask(path), [200, "ok"]);
  }
  assert.deepEqual(await ask("/livez?verbose"), [200, "[+]ping ok\n[+]log ok\nlivez check passed\n"]);
  const lines = [
    "[+]ping ok",
    "[+]log ok",
    "[-]preflight/permission/cluster/nodes:list failed: reason withheld",
    "[-]preflight/custom-resource-definition/a.b failed: reason withheld",
    "readyz check failed",
  ];
  for (const path of ["/readyz", "/readyz?verbose"]) {
    assert.deepEqual(await ask(path), [500, `${lines.join("\n")}\n`]);
  }
  server.setMissing(["permission/cluster/nodes:list"]);
  assert.deepEqual(await ask("/readyz"), [500, `${lines.toSpliced(3, 1).join("\n")}\n`]);
});

test("answers 503 to everything else, as a Status", async (context) => {
  const { ask } = await start(context);
  for (const [path, method] of [
    ["/apis", "GET"],
    ["/metrics", "GET"],
    ["/readyz/ping", "GET"],
    ["//", "GET"],
    ["/readyz", "POST"],
  ] as const) {
    const [status, body] = await ask(path, method);
    assert.equal(status, 503, path);
    assert.equal((JSON.parse(body) as { readonly reason: string }).reason, "ServiceUnavailable");
  }
});

test("speaks TLS 1.3 only, and leaves its port at once", async (context) => {
  const { server, ask } = await start(context);
  const handshake = (maxVersion: "TLSv1.2" | "TLSv1.3"): Promise<string> =>
    new Promise((resolve) => {
      const socket = connect({ host: "127.0.0.1", port: server.port, rejectUnauthorized: false, maxVersion });
      socket.once("secureConnect", () => {
        // A request that never ends.
        socket.write("GET /livez HTTP/1.1\r\n", () => resolve(socket.getProtocol() ?? ""));
      });
      socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? ""));
      context.after(() => socket.destroy());
    });
  assert.equal(await handshake("TLSv1.3"), "TLSv1.3");
  assert.match(await handshake("TLSv1.2"), /PROTOCOL_VERSION/);
  // The first connection is still open, and not idle.
  await server.close();
  await assert.rejects(ask("/livez"), { code: "ECONNREFUSED" });
  const next = await startWaitingServer({ host: "127.0.0.1", port: server.port, clock: systemClock });
  await next.close();
});
