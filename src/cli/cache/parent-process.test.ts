import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../clock.ts";
import { readLinuxProcess, readProcessByPs } from "./parent-process.ts";
import { temporaryFolder } from "./testing/temporary-folder.ts";

test("what /proc and ps tell of a process agree; a process that is gone has nothing", async () => {
  const before = systemClock.now();
  const child = spawn(process.execPath, ["-e", "process.stdin.resume()"], {
    stdio: ["pipe", "ignore", "inherit"],
  });
  await once(child, "spawn");
  const processId = child.pid ?? 0;
  const found = readLinuxProcess(processId, systemClock.now());
  const byPs = await readProcessByPs(processId);
  assert.ok(found && byPs);
  assert.ok(Math.abs(found.startedAt - before) < 1_500, `${found.startedAt - before} ms`);
  assert.ok(Math.abs(byPs.startedAt - before) < 2_500);
  assert.equal(readLinuxProcess(processId, systemClock.now())?.start, found.start);
  const gone = once(child, "close");
  child.stdin.end();
  await gone;
  assert.equal(readLinuxProcess(processId, systemClock.now()), undefined);
  assert.equal(await readProcessByPs(processId), undefined);
});

test("a client that asks for the first time has had no children and holds no connection; later it has both", async () => {
  const server = createServer((socket) => socket.resume()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const script = `
    const { spawnSync } = require("node:child_process");
    const { connect } = require("node:net");
    process.stdin.once("data", () => {
      spawnSync("true");
      connect(${port}, "127.0.0.1", () => console.log("connected"));
    });
    console.log("ready");`;
  const child = spawn(process.execPath, ["-e", script], { stdio: ["pipe", "pipe", "inherit"] });
  await once(child.stdout, "data");
  const first = readLinuxProcess(child.pid ?? 0, systemClock.now());
  assert.equal(first?.hadChildren, false);
  child.stdin.write("go\n");
  await once(child.stdout, "data");
  const later = readLinuxProcess(child.pid ?? 0, systemClock.now());
  assert.equal(later?.hadChildren, true);
  assert.equal(later?.holdsSocket(), true);
  assert.equal(later?.start, first?.start);
  const gone = once(child, "close");
  child.kill();
  await gone;
  server.close();
});

test("a shell that has started others and then becomes the client holds no connection", async () => {
  const child = spawn("sh", ["-c", "sleep 0; echo ready; exec sleep 60"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  const found = readLinuxProcess(child.pid ?? 0, systemClock.now());
  assert.equal(found?.hadChildren, true);
  assert.equal(found?.holdsSocket(), false);
  const gone = once(child, "close");
  child.kill();
  await gone;
});

test("a name with blanks and brackets is no trouble", () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "12"));
  const fields = "S 1 12 12 0 -1 4194304 97 33 0 4 0 0 0 0 20 0 1 0 250000 3133440 381";
  writeFileSync(join(folder, "12", "stat"), `12 (a) S 7 (b) ${fields}\n`);
  writeFileSync(join(folder, "uptime"), "3000.50 100.00\n");
  const found = readLinuxProcess(12, 10_000_000, folder);
  assert.equal(found?.start, "250000");
  assert.equal(found?.startedAt, 10_000_000 - 3_000_500 + 2_500_000);
  assert.equal(found?.hadChildren, true);
  assert.equal(found?.holdsSocket(), false);
  rmSync(folder, { recursive: true });
});
