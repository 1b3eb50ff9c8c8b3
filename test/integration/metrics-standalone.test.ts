import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { stringify } from "yaml";
import { serverProgram } from "./harness/concierge.ts";
import { eventually } from "./harness/eventually.ts";

test("standalone mode serves metrics on the plain port that its configuration names", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "lanyard-metrics-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, "manifests"));
  const [apiPort, plainPort] = await Promise.all([freePort(), freePort()]);
  writeFileSync(
    join(folder, "concierge.yaml"),
    stringify({
      metrics: { plainPort },
      standalone: {
        manifestsFolder: join(folder, "manifests"),
        stateFolder: join(folder, "state"),
        listenAddress: `127.0.0.1:${apiPort}`,
      },
    }),
  );
  const child = spawn(
    process.execPath,
    ["--disable-sigusr1", serverProgram, `--config=${join(folder, "concierge.yaml")}`],
    { env: { PATH: process.env["PATH"] ?? "" }, stdio: ["ignore", "ignore", "pipe"] },
  );
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => (log += chunk.toString("utf8")));
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  context.after(() => child.kill("SIGKILL"));

  const body = await eventually(`metrics\n${log}`, async () => {
    assert.equal(child.exitCode, null, log);
    const response = await fetch(`http://127.0.0.1:${plainPort}/metrics`);
    const text = await response.text();
    return /certificate="proxy_signer"/.test(text) && text;
  });
  assert.match(body, /^lanyard_concierge_build_info\{/m);
  assert.equal((await fetch(`http://127.0.0.1:${plainPort}/apis`)).status, 404);
  child.kill("SIGTERM");
  assert.equal(await exited, 0, log);
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}
