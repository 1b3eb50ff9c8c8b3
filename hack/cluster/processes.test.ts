import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import {
  childrenOf,
  endProcesses,
  isAlive,
  markedProcesses,
  recordOf,
  recordedProcess,
  signalProcess,
  startDaemon,
  waitGone,
} from "./processes.ts";

describe("recorded processes", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "lanyard-processes-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  it("never signals another process that has the recorded pid", async (t) => {
    const child = spawn("sleep", ["60"]);
    t.after(() => child.kill("SIGKILL"));
    const record = recordOf(child.pid ?? 0);
    assert.ok(record && isAlive(record));
    for (const other of [
      { ...record, startTime: String(Number(record.startTime) - 1) },
      { ...record, bootId: "another boot" },
    ]) {
      assert.equal(isAlive(other), false);
      assert.equal(signalProcess(other, "SIGKILL"), false);
      await endProcesses([other], 100);
      assert.ok(isAlive(record), "the process that has the pid now goes on");
    }
    assert.equal(signalProcess(record, "SIGKILL"), true);
    await once(child, "close");
    assert.equal(isAlive(record), false);
    assert.equal(signalProcess(record, "SIGKILL"), false);
  });

  it("reads a process whose name holds spaces and parentheses", async (t) => {
    const child = spawn(process.execPath, [
      "-e",
      'process.title = "a) S 1 (b"; console.log(1); setInterval(() => {}, 9999)',
    ]);
    t.after(() => child.kill("SIGKILL"));
    const before = recordOf(child.pid ?? 0);
    await once(child.stdout, "data");
    assert.deepEqual(recordOf(child.pid ?? 0), before);
  });

  it("survives its starter's records being lost, by its mark", async () => {
    const record = startDaemon({ folder, name: "marked", command: ["sleep", "60"] });
    assert.deepEqual(recordedProcess(folder, "marked"), record);
    assert.deepEqual(markedProcesses(folder), [record]);
    assert.deepEqual(markedProcesses(`${folder}-other`), []);
    await endProcesses([record], 1_000);
    assert.equal(await waitGone([record], 0), true);
    assert.deepEqual(markedProcesses(folder), []);
  });

  it("ends one that ignores SIGTERM", async () => {
    const ignores = "trap '' TERM; while :; do sleep 0.1; done";
    const record = startDaemon({ folder, name: "deaf", command: ["sh", "-c", ignores] });
    // Not before the shell has set its trap, which its first child shows.
    while (childrenOf(record.pid).length === 0) await new Promise((resolve) => setImmediate(resolve));
    await endProcesses([record], 50);
    assert.equal(isAlive(record), false);
  });

  it("records the child of a command that forks and waits", async () => {
    const command = ["sh", "-c", "sleep 60; true"];
    const record = startDaemon({ folder, name: "wrapped", command, wrapped: true });
    const all = markedProcesses(folder);
    assert.ok(all.length >= 2);
    assert.ok(all.some(({ pid }) => pid === record.pid));
    await endProcesses([record], 1_000);
    assert.equal(await waitGone(all, 5_000), true, "the command that waited ends too");
  });
});
