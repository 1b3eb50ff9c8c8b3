import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../telemetry/log.ts";
import { startPlainMetricsServer } from "./plain-metrics-server.ts";

test("serves metrics and nothing else", async (context) => {
  const server = await startPlainMetricsServer({
    host: "127.0.0.1",
    port: 0,
    metrics: { render: async () => ({ contentType: "text/plain; version=0.0.4", body: "up 1\n" }) },
    log: silentLogger,
  });
  context.after(() => server.close());
  const ask = async (path: string, method = "GET") => {
    const response = await fetch(`http://127.0.0.1:${server.port}${path}`, { method });
    return [response.status, response.headers.get("content-type"), await response.text()];
  };
  assert.deepEqual(await ask("/metrics?x=y"), [200, "text/plain; version=0.0.4", "up 1\n"]);
  for (const path of ["/", "/healthz", "/metrics/", "/apis", "//metrics", "/%6detrics"]) {
    assert.equal((await ask(path))[0], 404, path);
  }
  assert.equal((await ask("/metrics", "POST"))[0], 405);
});

test("a port that cannot be had is an error, one that cannot be rendered a 500", async (context) => {
  const failing = {
    host: "127.0.0.1",
    metrics: { render: () => Promise.reject(new Error("broken")) },
    log: silentLogger,
  };
  const server = await startPlainMetricsServer({ ...failing, port: 0 });
  context.after(() => server.close());
  await assert.rejects(startPlainMetricsServer({ ...failing, port: server.port }), /EADDRINUSE/);
  assert.equal((await fetch(`http://127.0.0.1:${server.port}/metrics`)).status, 500);
});
