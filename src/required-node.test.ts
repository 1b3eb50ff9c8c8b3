import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { complaintAboutNode } from "./required-node.ts";

test("what package.json asks for is enough, everything older is not", () => {
  const { engines } = JSON.parse(readFileSync(join(import.meta.dirname, "..", "package.json"), "utf8")) as {
    readonly engines: { readonly node: string };
  };
  const [, major, minor] = /^>=(\d+)\.(\d+)$/.exec(engines.node)?.map(Number) ?? [];
  assert.ok(major !== undefined && minor !== undefined);
  const isEnough = (version: string): boolean => complaintAboutNode("x", version) === undefined;
  for (const version of [
    `v${major}.${minor}.0`,
    `v${major}.${minor + 90}.1`,
    `v${major + 1}.0.0`,
    "v100.1.0",
  ]) {
    assert.ok(isEnough(version), version);
  }
  for (const version of [
    `v${major}.${minor - 1}.9`,
    `v${major}.1.99`,
    `v${major - 1}.99.0`,
    "v9.99.0",
    "v0.10.48",
  ]) {
    assert.ok(!isEnough(version), version);
  }
  assert.equal(
    complaintAboutNode("x", "v20.20.2"),
    `x needs Node ${major}.${minor} or newer, and this is Node 20.20.2: install a newer one, or put its folder first in PATH`,
  );
});

test("the server says it in one line, before anything is imported that an old Node lacks", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "lanyard-old-node-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const pretend = join(folder, "old.cjs");
  writeFileSync(pretend, 'Object.defineProperty(process, "version", { value: "v20.20.2" });');
  const main = join(import.meta.dirname, "concierge", "main.ts");
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ["--disable-sigusr1", "--require", pretend, main, "--help"],
    { encoding: "utf8", env: {} },
  );
  assert.deepEqual([status, stdout], [1, ""]);
  assert.match(
    stderr,
    /^lanyard-concierge needs Node [\d.]+ or newer, and this is Node 20\.20\.2: [^\n]+\n$/,
  );

  const importsOf = (path: string): readonly string[] =>
    [...readFileSync(path, "utf8").matchAll(/^(?:import|export) .*from "(.*)";$/gm)].map(
      ([, from]) => from ?? "",
    );
  assert.deepEqual(importsOf(main), ["../required-node.ts"]);
  assert.deepEqual(importsOf(join(import.meta.dirname, "required-node.ts")), []);
});
