import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";

import { productionPackages, sharedLibraries } from "./file-tree.ts";
import { readImageManifest } from "./manifest.ts";

const root = join(import.meta.dirname, "..", "..");
const manifest = readImageManifest();
/** Logical lines without comments. */
const lines = readFileSync(join(root, "Dockerfile"), "utf8")
  .replaceAll(/^#.*\n/gm, "")
  .replaceAll("\\\n", " ")
  .split("\n")
  .map((line) => line.trim().replaceAll(/ +/g, " "))
  .filter((line) => line !== "");
const finalStage = lines.slice(lines.findLastIndex((line) => line.startsWith("FROM ")));

describe("the Dockerfile", () => {
  it("copies into its last stage exactly what the manifest lists", () => {
    const copied = finalStage
      .filter((line) => line.startsWith("COPY "))
      .map((line) => {
        const match = /^COPY (?:--from=(\S+) )?(\S+) (\S+)$/.exec(line);
        assert.ok(match, `a COPY of one path to one path: ${line}`);
        const [, stage, from, to] = match;
        return { ...(stage === undefined ? {} : { stage }), from, to };
      });
    assert.deepEqual(
      copied,
      manifest.copies.map(({ stage, from, to }) => ({ ...(stage === undefined ? {} : { stage }), from, to })),
    );
  });

  it("adds nothing else to its last stage, which starts empty", () => {
    const allowed = /^(FROM scratch$|COPY |ENV |USER |ENTRYPOINT )/;
    assert.deepEqual(
      finalStage.filter((line) => !allowed.test(line)),
      [],
    );
  });

  it("runs as the manifest says", () => {
    const environment = finalStage
      .find((line) => line.startsWith("ENV "))
      ?.slice(4)
      .split(" ");
    assert.deepEqual(
      environment,
      Object.entries(manifest.environment).map(([name, value]) => `${name}=${value}`),
    );
    assert.ok(finalStage.includes(`USER ${manifest.user}:${manifest.user}`));
    assert.ok(finalStage.includes(`ENTRYPOINT ${JSON.stringify(manifest.entrypoint)}`));
  });

  it("links the launcher's names", () => {
    const links = [...lines.join("\n").matchAll(/ln -s (\S+) \/image(\S+)/g)].map(([, to, name]) => [
      name,
      to,
    ]);
    assert.deepEqual(
      links,
      manifest.launcherNames.map((name) => [name, manifest.launcher]),
    );
    const source = readFileSync(join(import.meta.dirname, "launcher", "main.go"), "utf8");
    for (const name of manifest.launcherNames) {
      assert.ok(source.includes(`"${name.split("/").at(-1)}"`), `the launcher knows ${name}`);
    }
  });

  it("takes Node.js at or above the floor of 26.12.1", () => {
    assert.deepEqual(versionOf(manifest.minimumNodeVersion), [26, 12, 1]);
    const versions = lines.flatMap((line) => /^FROM node:(\d+\.\d+\.\d+)-/.exec(line)?.[1] ?? []);
    assert.equal(versions.length, lines.filter((line) => line.startsWith("FROM node")).length);
    assert.ok(versions.length > 0);
    for (const version of versions) {
      assert.ok(compare(versionOf(version), versionOf(manifest.minimumNodeVersion)) >= 0, version);
    }
  });
});

describe("the image's files", () => {
  it("hold the packages that production needs and no other", () => {
    const packages = productionPackages(root);
    const { dependencies, devDependencies } = JSON.parse(
      readFileSync(join(root, "package.json"), "utf8"),
    ) as {
      dependencies: Record<string, string>;
      devDependencies: Record<string, string>;
    };
    for (const name of Object.keys(dependencies)) assert.ok(packages.includes(name), name);
    for (const name of Object.keys(devDependencies)) assert.ok(!packages.includes(name), name);
    assert.ok(!packages.includes("node"), "the npm package with Node's binary");
  });

  it("hold every shared library that Node.js names, the loader too", () => {
    const libraries = sharedLibraries(process.execPath).map((path) => path.split("/").at(-1) ?? "");
    for (const part of ["libstdc++.so", "libc.so", "ld-linux"]) {
      assert.ok(
        libraries.some((name) => name.startsWith(part)),
        `${part} in ${libraries.join(" ")}`,
      );
    }
  });
});

function versionOf(text: string): number[] {
  return text.split(".").map(Number);
}

function compare(a: readonly number[], b: readonly number[]): number {
  const different = a.findIndex((part, index) => part !== b[index]);
  return different < 0 ? 0 : (a[different] ?? 0) - (b[different] ?? 0);
}
