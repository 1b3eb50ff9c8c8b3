import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { createManualClock, systemClock } from "../../clock.ts";
import { loadFileLocking, lockFile } from "./file-lock.ts";
import type { FileLocking } from "./file-lock.ts";
import { WOULD_BLOCK_NUMBER, createFlockLocking } from "./flock.ts";
import { INVALID_HANDLE, createWindowsLocking } from "./lock-file-ex.ts";
import type { Kernel32 } from "./lock-file-ex.ts";
import { temporaryFolder } from "../cache/testing/temporary-folder.ts";

describe("flock(2) by node:ffi", () => {
  let folder = "";
  let locking: FileLocking;
  before(async () => {
    folder = temporaryFolder();
    locking = await loadFileLocking(process.platform);
  });
  after(() => rmSync(folder, { recursive: true }));

  test("one holder at a time; released means free; the file is 0600 and stays", () => {
    const path = join(folder, "one");
    const lock = locking.tryLock(path);
    assert.ok(lock);
    assert.equal(locking.tryLock(path), undefined);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    lock.release();
    lock.release();
    const again = locking.tryLock(path);
    assert.ok(again);
    again.release();
  });

  test("excludes flock(1), and is excluded by it: the lock of the existing CLI (contract cli.md 6)", async () => {
    const path = join(folder, "foreign");
    const lock = locking.tryLock(path);
    assert.ok(lock);
    assert.equal(spawnSync("flock", ["-n", "-E", "75", path, "true"]).status, 75);
    lock.release();
    assert.equal(spawnSync("flock", ["-n", "-E", "75", path, "true"]).status, 0);

    const holder = spawn("flock", [path, "sh", "-c", "echo locked; read line"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    assert.equal(locking.tryLock(path), undefined);
    const waiting = lockFile({ path, limit: 10_000, clock: systemClock, locking });
    holder.stdin.end("\n");
    (await waiting).release();
  });

  test("is released when its holder is killed", async () => {
    const path = join(folder, "killed");
    const holder = spawn(process.execPath, [join(import.meta.dirname, "testing", "hold-lock.ts"), path], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let complaints = "";
    holder.stderr.setEncoding("utf8").on("data", (text: string) => (complaints += text));
    await once(holder.stdout, "data");
    assert.equal(locking.tryLock(path), undefined);
    const gone = once(holder, "close");
    holder.kill("SIGKILL");
    await gone;
    assert.ok(locking.tryLock(path));
    assert.equal(complaints, "", "no ExperimentalWarning");
  });

  test("only the warning of node:ffi is kept back", () => {
    const script = `
      const { loadForeignFunctions } = await import(${JSON.stringify(join(import.meta.dirname, "foreign-functions.ts"))});
      const loading = loadForeignFunctions();
      process.emitWarning("something else", "ExperimentalWarning");
      process.emitWarning("FFI is fine", { type: "DeprecationWarning" });
      await loading;
      process.emitWarning("and later", "ExperimentalWarning");`;
    const { stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
      encoding: "utf8",
    });
    assert.match(stderr, /ExperimentalWarning: something else/);
    assert.match(stderr, /DeprecationWarning: FFI is fine/);
    assert.match(stderr, /ExperimentalWarning: and later/);
    assert.doesNotMatch(stderr, /FFI is an experimental/);
  });

  test("a folder that is missing, and a file that is a link, are failures", () => {
    assert.throws(() => locking.tryLock(join(folder, "missing", "lock")), {
      code: "file-lock.failed",
      message: /ENOENT/,
    });
    symlinkSync(join(folder, "elsewhere"), join(folder, "link"));
    assert.throws(() => locking.tryLock(join(folder, "link")), {
      code: "file-lock.failed",
      message: /ELOOP/,
    });
  });

  test("without node:ffi there are no locks, and it says so", () => {
    const script = `
      const { loadFileLocking } = await import(${JSON.stringify(join(import.meta.dirname, "file-lock.ts"))});
      await loadFileLocking("linux").catch((error) => console.log(error.code));`;
    const { stdout } = spawnSync(
      process.execPath,
      ["--no-experimental-ffi", "--input-type=module", "-e", script],
      { encoding: "utf8" },
    );
    assert.equal(stdout, "file-lock.unavailable\n");
  });
});

test("waits 10 ms between attempts, up to its limit, until it is told to stop", async () => {
  const clock = createManualClock();
  const attempts: number[] = [];
  const start = clock.now();
  const locking: FileLocking = {
    tryLock: () => {
      attempts.push(clock.now() - start);
      return undefined;
    },
  };
  const waiting = assert.rejects(lockFile({ path: "/x", limit: 30, clock, locking }), {
    code: "file-lock.timeout",
  });
  await clock.advance(100);
  await waiting;
  assert.deepEqual(attempts, [0, 10, 20, 30]);

  const stop = new AbortController();
  const stopped = assert.rejects(
    lockFile({ path: "/x", limit: 60_000, clock, locking, signal: stop.signal }),
    { code: "file-lock.aborted" },
  );
  await clock.advance(15);
  stop.abort();
  await clock.advance(1);
  await stopped;
});

test("interrupted calls are repeated; what a file system cannot do is told (NFS without locks)", () => {
  const path = join(temporaryFolder(), "lock");
  const answers = [4, 4, 0, WOULD_BLOCK_NUMBER, 37];
  const locking = createFlockLocking(() => answers.shift() ?? 0);
  const lock = locking.tryLock(path);
  assert.ok(lock);
  lock.release();
  assert.equal(locking.tryLock(path), undefined);
  assert.throws(() => locking.tryLock(path), { code: "file-lock.failed", message: /ENOLCK/ });
  rmSync(path);
});

test("Windows: one byte, violations mean busy, handles are closed", () => {
  const open = new Set<bigint>();
  let next = 1n;
  let holder: bigint | undefined;
  let error = 33;
  const kernel32: Kernel32 = {
    createFile: (path) => {
      if (path.includes("refused")) {
        return INVALID_HANDLE;
      }
      open.add(next);
      return next++;
    },
    lockFirstByte: (handle) => {
      if (holder !== undefined) {
        return false;
      }
      holder = handle;
      return true;
    },
    unlockFirstByte: (handle) => {
      assert.equal(handle, holder);
      holder = undefined;
    },
    closeHandle: (handle) => {
      assert.ok(open.delete(handle));
    },
    lastError: () => error,
  };
  const locking = createWindowsLocking(kernel32);
  const lock = locking.tryLock("C:\\lock");
  assert.ok(lock);
  assert.equal(locking.tryLock("C:\\lock"), undefined);
  error = 5;
  assert.throws(() => locking.tryLock("C:\\lock"), { code: "file-lock.failed" });
  assert.throws(() => locking.tryLock("C:\\refused"), { code: "file-lock.failed", message: /error 5/ });
  lock.release();
  lock.release();
  assert.equal(open.size, 0);
  assert.ok(locking.tryLock("C:\\lock"));
});
