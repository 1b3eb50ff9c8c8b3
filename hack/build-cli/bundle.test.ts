import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type CacheHit, prepareCacheHits } from "../../test/bench/cli-cache.ts";
import { bundleFiles, COMMANDS_FILE, LOGIN_FILE, START_FILE } from "./bundle.ts";

const root = join(import.meta.dirname, "..", "..");
const work = mkdtempSync(join(tmpdir(), "lanyard-bundle-"));
const folder = join(work, "dist-cli");
const stamp = {
  version: "1.2.3",
  gitCommit: "0123456789abcdef0123456789abcdef01234567",
  gitTreeState: "clean",
  buildDate: "2026-01-02T03:04:05Z",
  released: true,
} as const;
let hits: readonly CacheHit[] = [];
before(async () => {
  mkdirSync(folder);
  await bundleFiles({ root, folder, stamp });
  writeFileSync(join(folder, "package.json"), '{"type":"commonjs"}');
  hits = await prepareCacheHits(work);
});
after(() => rmSync(work, { recursive: true, force: true }));

function start(args: readonly string[], env: Readonly<Record<string, string>>, ...flags: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(
    "/bin/sh",
    // A client of its own, as kubectl is one: the cache judges who asks (contract cli.md 13.3 rule 7).
    ["-c", '"$@"; exit $?', "client", process.execPath, ...flags, join(folder, START_FILE), ...args],
    {
      encoding: "utf8",
      env,
    },
  );
  return { status, stdout, stderr };
}

test("the bundle knows what it was built from", () => {
  assert.deepEqual(start(["version"], { HOME: work }), { status: 0, stdout: "v1.2.3\n", stderr: "" });
  const described = JSON.parse(start(["version", "-o", "json"], { HOME: work }).stdout) as Record<
    string,
    string
  >;
  assert.equal(described["gitCommit"], stamp.gitCommit);
  assert.equal(described["buildDate"], stamp.buildDate);
});

test("what is wrong is told in the same words from every file of the bundle", () => {
  for (const [args, text] of [
    [["bogus"], 'unknown command "bogus" for "lanyard"\nRun \'lanyard --help\' for usage.'],
    [["version", "-o", "xml"], "'xml' is not a valid option for output"],
    [["login", "oidc"], 'required flag(s) "issuer" not set'],
    [["login", "static"], "one of --token or --token-env must be set"],
  ] as const) {
    assert.deepEqual(start(args, { HOME: work }), { status: 1, stdout: "", stderr: `Error: ${text}\n` });
  }
});

test("a cache hit needs neither the third file nor any of Node's modules that a bare start has not loaded", () => {
  const commands = join(folder, COMMANDS_FILE);
  const contents = readFileSync(commands);
  rmSync(commands);
  const listing = join(work, "modules.txt");
  const list = join(work, "list.cjs");
  writeFileSync(
    list,
    `process.on("exit", () => require("fs").writeFileSync(${JSON.stringify(listing)}, process.moduleLoadList.join("\\n")));`,
  );
  const loaded = (): readonly string[] => readFileSync(listing, "utf8").split("\n");
  try {
    for (const hit of hits) {
      const { status, stdout, stderr } = start(hit.args, hit.environment, "--require", list);
      assert.deepEqual({ status, stderr }, { status: 0, stderr: "" });
      assert.ok(stdout.includes(hit.expected), stdout);
      const heavy =
        /^NativeModule (?:crypto|stream|net|tls|http2?|tty|readline|fs\/promises|child_process|v8|vm|url|worker_threads)$/;
      const bare = spawnSync(process.execPath, ["--require", list, "-e", "0"], { env: hit.environment });
      assert.equal(bare.status, 0);
      const already = new Set(loaded());
      start(hit.args, hit.environment, "--require", list);
      assert.deepEqual(
        loaded().filter((name) => heavy.test(name) && !already.has(name)),
        [],
        hit.name,
      );
    }
  } finally {
    writeFileSync(commands, contents);
  }
});

test("compiled code is kept only in a folder that nobody else may write to", () => {
  const home = join(work, "home");
  const own = join(home, ".cache", "lanyard");
  mkdirSync(home);
  start(["version"], { HOME: home });
  assert.equal(statSync(own).mode & 0o777, 0o700);
  assert.ok(readdirSync(join(own, "compiled")).length > 0);

  rmSync(join(own, "compiled"), { recursive: true });
  chmodSync(own, 0o770);
  assert.equal(start(["version"], { HOME: home }).status, 0);
  assert.deepEqual(readdirSync(own), []);
});

test("nothing is written on a second hit", () => {
  const [hit] = hits;
  assert.ok(hit);
  const files = (): readonly string[] =>
    readdirSync(work, { recursive: true, encoding: "utf8" }).map((name) => {
      const { mtimeNs, size } = statSync(join(work, name), { bigint: true });
      return `${name} ${mtimeNs} ${size}`;
    });
  start(hit.args, hit.environment);
  const earlier = files();
  assert.equal(start(hit.args, hit.environment).status, 0);
  assert.deepEqual(files(), earlier);
});

test("an old Node reads the first file, gets one line, and nothing is done", () => {
  const pretend = join(work, "old.cjs");
  writeFileSync(pretend, 'Object.defineProperty(process, "version", { value: "v20.20.2" });');
  const home = join(work, "home-of-old");
  mkdirSync(home);
  assert.deepEqual(start(["version"], { HOME: home }, "--require", pretend), {
    status: 1,
    stdout: "",
    stderr:
      "Error: lanyard needs Node 26.10 or newer, and this is Node 20.20.2: install a newer one, or put its folder first in PATH\n",
  });
  assert.deepEqual(readdirSync(home), []);
  // Nothing that it would fail at before it can say so.
  assert.doesNotMatch(
    readFileSync(join(folder, START_FILE), "utf8"),
    /\?\.[a-z[(]|\?\?|\bawait\b|\bimport\s*[{"*\w]|catch\{/,
  );
});

test("the login file holds no package", () => {
  assert.ok(statSync(join(folder, LOGIN_FILE)).size < 100_000);
  assert.doesNotMatch(readFileSync(join(folder, LOGIN_FILE), "utf8"), /node_modules/);
});
