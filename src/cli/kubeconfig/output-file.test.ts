import assert from "node:assert/strict";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { createManualClock, systemClock } from "../../clock.ts";
import { passTimeUntil } from "../cache/testing/simulated-cluster.ts";
import { openMergeTarget } from "./merge-target.ts";
import { openOutputFile } from "./output-file.ts";

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "lanyard-output-"));
  path = join(folder, "out");
});
afterEach(() => rmSync(folder, { recursive: true }));
const mode = (file: string): number => statSync(file).mode & 0o777;

test("a new file appears when it is complete, and only its owner can read it", async () => {
  const file = await openOutputFile(path);
  assert.equal(readdirSync(folder).includes("out"), false);
  await file.commit("text");
  await file.discard();
  assert.deepEqual([readFileSync(path, "utf8"), mode(path), readdirSync(folder)], ["text", 0o600, ["out"]]);
});

test("an existing file stays as it was until then, and is for its owner alone after it", async () => {
  writeFileSync(path, "before", { mode: 0o644 });
  const dropped = await openOutputFile(path);
  await dropped.discard();
  assert.deepEqual([readFileSync(path, "utf8"), mode(path), readdirSync(folder)], ["before", 0o644, ["out"]]);
  await (await openOutputFile(path)).commit("after");
  assert.deepEqual([readFileSync(path, "utf8"), mode(path)], ["after", 0o600]);
});

test("a symbolic link stays one; its file is replaced", async () => {
  const target = join(folder, "target");
  writeFileSync(target, "before");
  symlinkSync("target", path);
  await (await openOutputFile(path)).commit("after");
  assert.deepEqual([readFileSync(target, "utf8"), readdirSync(folder).length], ["after", 2]);
});

test("what is no file is written to", async () => {
  await (await openOutputFile("/dev/null")).commit("text");
  assert.equal(statSync("/dev/null").isFile(), false);
});

test("what cannot be written says so in the contract's words", async () => {
  const missing = join(folder, "a", "b");
  await assert.rejects(openOutputFile(missing), {
    message: `could not open output file: open ${missing}: no such file or directory`,
  });
  await assert.rejects(openOutputFile(folder), {
    message: `could not open output file: open ${folder}: is a directory`,
  });
  writeFileSync(path, "x");
  await assert.rejects(openOutputFile(join(path, "y")), {
    message: `could not open output file: open ${join(path, "y")}: not a directory`,
  });
});

test("a merge keeps a copy of what was there, and leaves no lock behind", async () => {
  const clock = createManualClock(Date.UTC(2026, 10, 22, 10, 15, 0));
  writeFileSync(path, "before", { mode: 0o644 });
  const rules = { paths: [join(folder, "gone"), path], isExplicit: false };
  for (const name of ["out.backup-20261122T101500Z", "out.backup-20261122T101500Z-1"]) {
    const target = await openMergeTarget(rules, "", { clock });
    const before = readFileSync(path, "utf8");
    assert.deepEqual([target.path, target.text], [path, before]);
    assert.equal(await target.commit((text) => `${text}+`), join(folder, name));
    assert.deepEqual([readFileSync(join(folder, name), "utf8"), mode(join(folder, name))], [before, 0o600]);
  }
  assert.deepEqual([readFileSync(path, "utf8"), mode(path)], ["before++", 0o600]);
  assert.equal(readdirSync(folder).length, 3);
});

test("a merge that changes nothing, or fails, writes nothing", async () => {
  const { clock } = { clock: createManualClock() };
  writeFileSync(path, "before");
  const same = await openMergeTarget({ paths: [path], isExplicit: true }, "", { clock });
  assert.equal(await same.commit((text) => text), undefined);
  const failing = await openMergeTarget({ paths: [path], isExplicit: true }, "", { clock });
  await assert.rejects(
    failing.commit(() => assert.fail("no")),
    { message: "no" },
  );
  await failing.discard();
  assert.deepEqual([readFileSync(path, "utf8"), readdirSync(folder)], ["before", ["out"]]);
});

test("a merge waits a moment for who holds kubectl's lock, not for one that was left behind", async () => {
  writeFileSync(path, "before");
  const clock = createManualClock();
  const target = async () => await openMergeTarget({ paths: [path], isExplicit: true }, "", { clock });
  const [first, second] = [await target(), await target()];
  writeFileSync(`${path}.lock`, "");
  const refused = assert.rejects(
    passTimeUntil(
      clock,
      first.commit(() => "after"),
    ),
    /^CommandError: could not lock .*: open .*\.lock: file exists/,
  );
  await refused;
  await first.discard();
  assert.equal(readFileSync(path, "utf8"), "before");
  const waiting = second.commit((text) => `${text}+`);
  await clock.advance(100);
  writeFileSync(path, "theirs");
  unlinkSync(`${path}.lock`);
  await passTimeUntil(clock, waiting);
  assert.equal(readFileSync(path, "utf8"), "theirs+", "what was written meanwhile is not lost");
  assert.ok(!readdirSync(folder).includes("out.lock"));
});

test("merges at the same time all end up in the file", async () => {
  writeFileSync(path, "0");
  const numbers = [1, 2, 3, 4, 5, 6, 7, 8];
  const targets = await Promise.all(
    numbers.map(() => openMergeTarget({ paths: [path], isExplicit: true }, "", { clock: systemClock })),
  );
  await Promise.all(targets.map((each, index) => each.commit((text) => `${text} ${numbers[index]}`)));
  assert.deepEqual(readFileSync(path, "utf8").split(" ").toSorted(), ["0", ...numbers.map(String)]);
  assert.deepEqual(
    readdirSync(folder).filter((name) => /lock|tmp/.test(name)),
    [],
  );
});

test("a merge goes to the first file that can be written, or makes the last one with its folder", async () => {
  const clock = createManualClock();
  const [first, last] = [join(folder, "first"), join(folder, "new", "config")];
  const made = await openMergeTarget({ paths: [first, last], isExplicit: false }, "", { clock });
  assert.equal(made.path, last);
  assert.equal(await made.commit(() => "text"), undefined);
  assert.deepEqual([readFileSync(last, "utf8"), mode(join(folder, "new"))], ["text", 0o700]);
  const asked = await openMergeTarget({ paths: [last], isExplicit: true }, path, { clock });
  assert.equal(asked.path, path);
  await asked.discard();
  if (process.getuid?.() !== 0) {
    writeFileSync(first, "x");
    chmodSync(first, 0o400);
    const second = await openMergeTarget({ paths: [first, last], isExplicit: false }, "", { clock });
    assert.equal(second.path, last);
    await second.discard();
  }
});
