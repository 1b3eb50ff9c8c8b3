import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { parse } from "yaml";
import { archiveName, krewManifest, platforms } from "./krew.ts";
import { versionDifferences } from "./version.ts";

const root = join(import.meta.dirname, "../..");

describe("the krew manifest", () => {
  const folder = mkdtempSync(join(tmpdir(), "lanyard-krew-"));
  after(() => rmSync(folder, { recursive: true }));
  const options = { version: "v1.2.3", baseUrl: "https://example.com/o/r/releases/download/v1.2.3", folder };

  it("names every platform's archive with its checksum", () => {
    assert.throws(() => krewManifest(options), /ENOENT/);
    for (const platform of platforms) {
      writeFileSync(join(folder, archiveName(platform)), `${platform.os} ${platform.arch}`);
    }
    const { spec } = parse(krewManifest(options)) as {
      readonly spec: {
        readonly version: string;
        readonly homepage: string;
        readonly platforms: readonly {
          readonly uri: string;
          readonly sha256: string;
          readonly bin: string;
          readonly selector: { readonly matchLabels: { readonly os: string; readonly arch: string } };
        }[];
      };
    };
    assert.equal(spec.version, "v1.2.3");
    assert.equal(spec.homepage, "https://example.com/o/r");
    assert.equal(spec.platforms.length, 5);
    for (const { selector, uri, sha256, bin } of spec.platforms) {
      const { os, arch } = selector.matchLabels;
      assert.equal(uri, `${options.baseUrl}/lanyard-${os}-${arch}.tar.gz`);
      assert.equal(sha256, createHash("sha256").update(`${os} ${arch}`).digest("hex"));
      assert.equal(bin, os === "windows" ? "lanyard.exe" : "lanyard");
    }
    assert.throws(() => krewManifest({ ...options, version: "1.2.3" }), /no version/);
  });
});

describe("a release", () => {
  it("has one version in package.json and both charts", () => {
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
    assert.deepEqual(versionDifferences(root, `v${version}`), []);
    assert.equal(versionDifferences(root, "v99.0.0").length, 5);
  });

  it("builds what the krew manifest names, and lets no step use what a pull request could set", () => {
    const workflow = readFileSync(join(root, ".github/workflows/release.yaml"), "utf8");
    const { on, permissions, jobs } = parse(workflow) as {
      readonly on: Readonly<Record<string, unknown>>;
      readonly permissions: unknown;
      readonly jobs: Readonly<
        Record<string, { readonly strategy?: { readonly matrix: { readonly include: readonly unknown[] } } }>
      >;
    };
    assert.deepEqual(Object.keys(on), ["push"]);
    assert.deepEqual(permissions, {});
    const built = (jobs["cli"]?.strategy?.matrix.include ?? []) as readonly { os: string; arch: string }[];
    assert.deepEqual(
      built.map(({ os, arch }) => `${os}-${arch}`).toSorted(),
      platforms.map(({ os, arch }) => `${os}-${arch}`).toSorted(),
    );
    for (const part of [
      "linux/amd64,linux/arm64",
      "--sbom=true",
      "--provenance=mode=max",
      "helm push",
      "sha256sum",
    ]) {
      assert.ok(workflow.includes(part), part);
    }
    // Expressions go through the environment, never into a script's text.
    for (const [, script = ""] of workflow.matchAll(/run: \|\n((?: {10}.*\n)+)/g)) {
      assert.doesNotMatch(script, /\$\{\{/);
    }
  });
});
