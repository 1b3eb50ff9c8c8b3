import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";

import { kubernetesVersions } from "./binaries.ts";

it("say of each Kubernetes the version that its module file requires", () => {
  for (const [release, version] of Object.entries(kubernetesVersions)) {
    const file = `${release === "ci" ? "go" : release}.mod`;
    const text = readFileSync(join(import.meta.dirname, "..", "kubernetes", file), "utf8");
    assert.ok(text.includes(`\tk8s.io/kubernetes v${version}\n`), file);
    const staged = [...text.matchAll(/=> k8s\.io\/\S+ v0\.(\S+)/g)].map((match) => match[1]);
    assert.deepEqual([...new Set(staged)], [version.slice("1.".length)], file);
  }
});

describe("programs built once", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "lanyard-cache-"));
  });
  after(() => rmSync(folder, { recursive: true }));

  const script = `
    import { ensurePause } from ${JSON.stringify(join(import.meta.dirname, "binaries.ts"))};
    process.stdout.write(await ensurePause());
  `;
  const builder = (cache: string) =>
    spawn(process.execPath, ["--input-type=module", "--eval", script], {
      env: { ...process.env, XDG_CACHE_HOME: join(folder, cache) },
    });
  const result = async (child: ReturnType<typeof builder>) => {
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const [code] = (await once(child, "close")) as [number | null];
    return { code, stdout, stderr };
  };

  it("builds once for two at the same time, and not again", async () => {
    const both = await Promise.all([result(builder("both")), result(builder("both"))]);
    const [first, second] = both;
    assert.equal(first.stdout, second.stdout);
    assert.ok(existsSync(first.stdout));
    assert.equal(both.filter(({ stderr }) => stderr.includes("built in")).length, 1, JSON.stringify(both));
    const again = await result(builder("both"));
    assert.equal(again.stderr, "", "a program that is there needs no words");
    assert.equal(again.stdout, first.stdout);
  });

  it("builds after a builder was killed, and leaves only the program", async () => {
    const killed = builder("killed");
    await once(killed.stderr, "data");
    killed.kill("SIGKILL");
    await once(killed, "close");
    const { stdout, code } = await result(builder("killed"));
    assert.equal(code, 0);
    assert.deepEqual(readdirSync(dirname(stdout)), ["pause"]);
  });
});
