import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";

import { GENERATED_MARK, compareFiles } from "./files.ts";
import { generatedFiles } from "./generated-files.ts";
import { referenceFiles } from "./reference.ts";

describe("compareFiles", () => {
  const root = mkdtempSync(join(tmpdir(), "lanyard-generate-"));
  after(() => rmSync(root, { recursive: true }));

  it("tells changed, missing and stale files, and leaves others alone", () => {
    writeFileSync(join(root, "same"), "a");
    writeFileSync(join(root, "changed"), "b");
    writeFileSync(join(root, "stale"), `# ${GENERATED_MARK}\n`);
    writeFileSync(join(root, "by-hand"), "# written by hand\n");
    const files = new Map([
      ["same", "a"],
      ["changed", "c"],
      ["missing", "d"],
    ]);
    assert.deepEqual(compareFiles(root, files), { differing: ["changed", "missing"], stale: ["stale"] });
  });
});

describe("generated files", () => {
  it("are in the repository as the sources make them", async () => {
    assert.deepEqual(compareFiles(join(import.meta.dirname, "../.."), await generatedFiles()), {
      differing: [],
      stale: [],
    });
  });

  it("carry the mark, and name every field in the reference", async () => {
    for (const [path, content] of await generatedFiles()) {
      assert.ok(content.slice(0, 200).includes(GENERATED_MARK), path);
    }
    const page = referenceFiles().get("docs/reference/credentialissuer.md") ?? "";
    assert.match(
      page,
      /\| `status\.strategies\[\]\.frontend\.impersonationProxyInfo\.endpoint` \| string \|/,
    );
    assert.match(
      page,
      /\| `spec\.impersonationProxy\.mode` \| string \| required; one of `auto`, `enabled`, `disabled` \|/,
    );
  });
});
