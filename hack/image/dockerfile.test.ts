import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";

import { imageFiles, productionPackages, sharedLibraries } from "./file-tree.ts";
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
    const allowed = /^(FROM scratch$|ARG (?:VERSION|REVISION)=|COPY |ENV |LABEL |USER |ENTRYPOINT )/;
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

  it("says what it is in the labels of the manifest", () => {
    const label = finalStage.find((line) => line.startsWith("LABEL ")) ?? "";
    const labels = [...label.matchAll(/(org\.\S+?)="([^"]*)"/g)].map(([, name, value]) => [name, value]);
    assert.deepEqual(labels, Object.entries(manifest.labels));
  });

  it("builds for both architectures: nothing names one, and the Go program is cross-compiled", () => {
    assert.ok(lines.some((line) => line.startsWith("FROM --platform=$BUILDPLATFORM golang:")));
    assert.ok(lines.some((line) => line.includes('GOARCH="$TARGETARCH" go build')));
    assert.doesNotMatch(lines.join("\n"), /amd64|arm64|x86_64|aarch64/);
  });

  it("gets a context of what it copies and nothing else", () => {
    const ignore = readFileSync(join(root, ".dockerignore"), "utf8")
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"));
    assert.equal(ignore[0], "*");
    const context = lines
      .filter((line) => line.startsWith("COPY ") && !line.includes("--from="))
      .flatMap((line) => line.split(" ").slice(1, -1))
      .map((path) => path.replace(/\/$/, ""));
    assert.deepEqual(
      ignore
        .filter((line) => line.startsWith("!"))
        .map((line) => line.slice(1))
        .toSorted(),
      context.toSorted(),
    );
    assert.ok(ignore.includes("src/cli"));
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

  it("are the packages that the Dockerfile's npm ci installs", () => {
    const { status, stdout, stderr } = spawnSync(
      "npm",
      ["ls", "--all", "--parseable", "--package-lock-only", "--omit=dev", "--omit=optional"],
      { cwd: root, encoding: "utf8" },
    );
    assert.equal(status, 0, stderr);
    const installed = stdout
      .split("\n")
      .filter((path) => path.includes("/node_modules/"))
      .map((path) => path.slice(path.indexOf("/node_modules/") + "/node_modules/".length))
      .toSorted();
    assert.ok(installed.length > 10);
    assert.deepEqual(productionPackages(root), installed);
  });

  it("are dist/ as the Dockerfile's compiler emits it: the server, no test, nothing of the command line program", () => {
    const { status, stdout } = spawnSync(
      join(root, "node_modules", ".bin", "tsc"),
      ["-p", "tsconfig.build.json", "--listFilesOnly"],
      { cwd: root, encoding: "utf8" },
    );
    assert.equal(status, 0, stdout);
    const compiled = stdout
      .split("\n")
      .filter((path) => path.startsWith(`${join(root, "src")}/`))
      .map((path) => path.slice(join(root, "src").length + 1));
    assert.ok(compiled.includes("concierge/main.ts"));
    assert.deepEqual(
      compiled.filter((path) => /^cli\/|\.test\.ts$|(?:^|\/)testing\//.test(path)),
      [],
    );
    for (const { from, to, what } of manifest.copies) {
      assert.doesNotMatch(`${from} ${to}`, /dist-cli/, what);
    }
  });

  it("hold nothing that the command line program alone needs", () => {
    // dist/ may not be built yet; the test above says what is in it.
    const copies = manifest.copies.filter(({ what }) => what !== "dist");
    const sources = {
      root,
      node: join(root, "node_modules", "node", "bin", "node"),
      launcher: process.execPath,
    };
    const paths = imageFiles({ ...manifest, copies }, sources).map(({ path }) => path);
    assert.ok(paths.includes("app/node_modules/fastify/package.json"));
    const foreign =
      /^app\/(?:dist-cli|dist\/cli|src|node_modules\/(?:openid-client|@napi-rs|esbuild|@kubernetes)\/)/;
    assert.deepEqual(
      paths.filter((path) => foreign.test(path)),
      [],
    );
    assert.equal(new Set(paths).size, paths.length, "no path twice");
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
