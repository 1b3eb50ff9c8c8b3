import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../../clock.ts";
import type { ParentProcess } from "./parent-process.ts";
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

test("a client that asks for the first time has had no child of this size, whatever else it started; later it has", async () => {
  const child = spawn(
    "sh",
    [
      "-c",
      'sleep 0; date >/dev/null; echo ready; read go; "$0" -e 0; echo done; exec sleep 60',
      process.execPath,
    ],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  await once(child.stdout, "data");
  const first = readBySmallProcess(child.pid ?? 0);
  assert.equal(first?.ranPlugin, false);
  child.stdin.write("go\n");
  await once(child.stdout, "data");
  const later = readBySmallProcess(child.pid ?? 0);
  assert.equal(later?.ranPlugin, true);
  assert.equal(later?.start, first?.start);
  const gone = once(child, "close");
  child.kill();
  await gone;
});

/** What a process without tests in it would read: one with the page faults of a bare Node. */
function readBySmallProcess(processId: number): ParentProcess | undefined {
  const folder = temporaryFolder();
  const copy = (from: string, to: string, change = (text: string): string => text): void => {
    mkdirSync(join(folder, to, ".."), { recursive: true });
    writeFileSync(join(folder, to), change(readFileSync(join("/proc", from), "latin1")));
  };
  copy("uptime", "uptime");
  copy(`${processId}/stat`, `${processId}/stat`);
  copy("self/stat", "self/stat", () => "1 (x) S 1 1 1 0 -1 4194304 3000 0 0 0");
  const found = readLinuxProcess(processId, systemClock.now(), folder);
  rmSync(folder, { recursive: true });
  return found;
}

test("a name with blanks and brackets is no trouble", () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "12"));
  const fields = "S 1 12 12 0 -1 4194304 97 33 0 4 0 0 0 0 20 0 1 0 250000 3133440 381";
  writeFileSync(join(folder, "12", "stat"), `12 (a) S 7 (b) ${fields}\n`);
  writeFileSync(join(folder, "uptime"), "3000.50 100.00\n");
  mkdirSync(join(folder, "self"));
  writeFileSync(
    join(folder, "self", "stat"),
    "13 (b) S 1 12 12 0 -1 4194304 65 0 0 0 0 0 0 0 20 0 1 0 250000 1 1\n",
  );
  const found = readLinuxProcess(12, 10_000_000, folder);
  assert.equal(found?.start, "250000");
  assert.equal(found?.startedAt, 10_000_000 - 3_000_500 + 2_500_000);
  assert.equal(found?.ranPlugin, true);
  rmSync(folder, { recursive: true });
});

test("a client without a child costs one read: it never ran the plugin, and its start is looked up only if somebody asks", () => {
  const folder = temporaryFolder();
  mkdirSync(join(folder, "12"));
  writeFileSync(
    join(folder, "12", "stat"),
    "12 (a) S 1 12 12 0 -1 4194304 97 0 0 0 0 0 0 0 20 0 1 0 250000 1 1\n",
  );
  const found = readLinuxProcess(12, 10_000_000, folder);
  assert.equal(found?.ranPlugin, false);
  writeFileSync(join(folder, "uptime"), "3000.50 100.00\n");
  assert.equal(found?.startedAt, 10_000_000 - 3_000_500 + 2_500_000);
  rmSync(join(folder, "uptime"));
  assert.ok(
    found.startedAt < 10_000_000 - 3_000_500,
    "long ago: a client that may be older than the credential",
  );
  rmSync(folder, { recursive: true });
});
