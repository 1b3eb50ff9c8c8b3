import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readVersion } from "./version.ts";

const HASH = "0123456789abcdef0123456789abcdef01234567";

test("the version comes from package.json, the commit from the build or the repository", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "version-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const folders = { packageFolder: folder, buildFolder: join(folder, "dist") };
  writeFileSync(join(folder, "package.json"), '{"version":"1.2.3"}');
  assert.deepEqual(readVersion(folders), { version: "1.2.3", gitCommit: "unknown" });
  mkdirSync(join(folder, ".git"));
  writeFileSync(join(folder, ".git", "HEAD"), "ref: refs/heads/main\n");
  writeFileSync(join(folder, ".git", "packed-refs"), `# pack-refs\n${HASH} refs/heads/main\n`);
  assert.equal(readVersion(folders).gitCommit, HASH);
  mkdirSync(join(folder, "dist"));
  writeFileSync(join(folder, "dist", "git-commit"), `${HASH.replace("0", "f")}\n`);
  assert.equal(readVersion(folders).gitCommit, HASH.replace("0", "f"));
});

test("this package has a version", () => {
  assert.match(readVersion().version, /^\d+\.\d+\.\d+/);
});
