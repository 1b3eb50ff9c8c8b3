import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { writeDockerArchive } from "./docker-archive.ts";
import { writeTar } from "./tar.ts";
import type { TarEntry } from "./tar.ts";

describe("the tar writer", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "lanyard-tar-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  const longPath = `deep/${"a-folder-with-a-long-name/".repeat(6)}é.txt`;
  const entries = (): TarEntry[] => [
    { type: "file", path: "z.txt", mode: 0o644, content: Buffer.from("last") },
    { type: "file", path: longPath, mode: 0o600, uid: 65532, gid: 65532, content: Buffer.from("long") },
    { type: "symlink", path: "link", mode: 0o777, target: `/${longPath}` },
    { type: "directory", path: "deep", mode: 0o1777 },
    { type: "file", path: "source", mode: 0o755, source: join(folder, "source") },
  ];
  const tar = (...args: string[]): string => {
    const done = spawnSync("tar", args, {
      encoding: "utf8",
      env: { ...process.env, LC_ALL: "C.UTF-8", TZ: "UTC" },
    });
    assert.equal(done.status, 0, done.stderr);
    assert.equal(done.stderr, "");
    return done.stdout;
  };

  it("writes what tar(1) reads: modes, owners, links, names beyond 100 bytes", () => {
    const path = join(folder, "all.tar");
    writeFileSync(join(folder, "source"), "x".repeat(1500));
    writeTar(path, entries());
    const lines = tar("--list", "--verbose", "--numeric-owner", "--quoting-style=literal", `--file=${path}`);
    assert.deepEqual(
      lines
        .trim()
        .split("\n")
        .map((line) => line.replaceAll(/ +/g, " ")),
      [
        "drwxrwxrwt 0/0 0 1970-01-01 00:00 deep/",
        `-rw------- 65532/65532 4 1970-01-01 00:00 ${longPath}`,
        `lrwxrwxrwx 0/0 0 1970-01-01 00:00 link -> /${longPath}`,
        "-rwxr-xr-x 0/0 1500 1970-01-01 00:00 source",
        "-rw-r--r-- 0/0 4 1970-01-01 00:00 z.txt",
      ],
    );
    assert.equal(tar("--extract", "--to-stdout", `--file=${path}`, longPath), "long");
    assert.equal(tar("--extract", "--to-stdout", `--file=${path}`, "source"), "x".repeat(1500));
  });

  it("writes pax records whose length counts its own digits", () => {
    for (const length of [...range(95, 110), ...range(980, 1000)]) {
      const path = join(folder, "digits.tar");
      const name = "n".repeat(length);
      writeTar(path, [{ type: "file", path: name, mode: 0o644, content: Buffer.alloc(0) }]);
      assert.equal(tar("--list", `--file=${path}`), `${name}\n`);
    }
  });

  it("writes the same bytes for the same files, whatever their order and times", () => {
    const source = join(folder, "source");
    writeFileSync(source, "same");
    const first = writeTar(join(folder, "first.tar"), entries());
    utimesSync(source, 1, 1);
    const second = writeTar(join(folder, "second.tar"), entries().toReversed());
    assert.deepEqual(first, second);
    assert.deepEqual(readFileSync(join(folder, "first.tar")), readFileSync(join(folder, "second.tar")));
    assert.equal(first.size % 512, 0);
  });

  it("wraps a layer as docker save does", () => {
    const output = join(folder, "image.tar");
    writeFileSync(join(folder, "source"), "same");
    const id = writeDockerArchive({
      output,
      tag: "localhost/x:dev",
      architecture: "amd64",
      entries: entries(),
      config: { user: "65532:65532", entrypoint: ["/source"] },
    });
    const read = (path: string): string => tar("--extract", "--to-stdout", `--file=${output}`, path);
    const [manifest] = JSON.parse(read("manifest.json")) as {
      Config: string;
      RepoTags: string[];
      Layers: string[];
    }[];
    assert.deepEqual(manifest?.RepoTags, ["localhost/x:dev"]);
    assert.equal(`sha256:${manifest?.Config}`, `${id}.json`);
    const config = JSON.parse(read(manifest?.Config ?? "")) as {
      config: { User: string; Entrypoint: string[] };
      rootfs: { diff_ids: string[] };
    };
    assert.equal(config.config.User, "65532:65532");
    assert.deepEqual(config.rootfs.diff_ids, [`sha256:${manifest?.Layers[0]?.split("/")[0]}`]);
    tar("--extract", `--directory=${folder}`, `--file=${output}`, manifest?.Layers[0] ?? "");
    const names = tar("--list", `--file=${join(folder, manifest?.Layers[0] ?? "")}`);
    assert.match(names, /^deep\/a-folder-with-a-long-name\/$/m, "folders that nobody listed are there");
  });
});

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}
