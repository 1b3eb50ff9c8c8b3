import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";
import { parseCacheDocument } from "../cache-document.ts";
import { sideFilePath } from "../side-file.ts";

export interface KillReport {
  readonly kills: number;
  /** Stores that were finished meanwhile. */
  readonly stores: number;
  /** Half-written files of the last ones. */
  readonly leftovers: readonly string[];
}

/**
 * Contract cli.md 13.6 case 7 with real processes: three store into one cache without end and are killed at any moment. After each
 * kill the cache must be whole, hold the entry of who was killed and of the others, and the file beside it must be JSON.
 *
 * @param limit milliseconds after which it ends, however many there were
 */
export async function killDuringStore(
  parent: string,
  { kills: wanted, limit }: { readonly kills: number; readonly limit: number },
): Promise<KillReport> {
  const folder = join(parent, "pinniped");
  mkdirSync(folder, { mode: 0o700 });
  const file = join(folder, "credentials.yaml");
  // Bundled, as a process that starts in a tenth of the time is killed ten times as often.
  const script = join(parent, "store-without-end.mjs");
  await build({
    entryPoints: [join(import.meta.dirname, "store-without-end.ts")],
    outfile: script,
    bundle: true,
    platform: "node",
    format: "esm",
    external: ["@napi-rs/keyring", "yaml"],
    logLevel: "error",
  });
  let started = 0;
  let kills = 0;
  let stores = 0;
  const seen = new Set<string>();
  const deadline = performance.now() + limit;
  const worker = async (key: string): Promise<void> => {
    while (started < wanted && performance.now() < deadline) {
      started += 1;
      const child = spawn(process.execPath, [script, file, key], { stdio: ["ignore", "pipe", "pipe"] });
      const gone = new Promise<void>((resolve) => child.on("close", () => resolve()));
      let complaints = "";
      child.stderr.setEncoding("utf8").on("data", (text: string) => (complaints += text));
      child.stdout.setEncoding("utf8").on("data", (text: string) => (stores += text.length));
      await new Promise<void>((resolve) => child.stdout.once("data", () => resolve()));
      seen.add(key);
      await new Promise<void>((resolve) => setTimeout(resolve, Math.random() * 40));
      child.kill("SIGKILL");
      await gone;
      assert.equal(child.signalCode, "SIGKILL", complaints);
      kills += 1;
      const document = await parseCacheDocument(readFileSync(file, "utf8"), "CredentialCache");
      assert.equal(complaints, "");
      assert.ok(document.state === "usable", "the cache is broken");
      const missing = [...seen].filter((each) => !document.entries.some((entry) => entry.key === each));
      assert.deepEqual(missing, [], "entries are lost");
      JSON.parse(readFileSync(sideFilePath(file), "utf8"));
    }
  };
  await Promise.all(["aa", "bb", "cc"].map(worker));
  return { kills, stores, leftovers: readdirSync(folder).filter((name) => name.endsWith(".tmp")) };
}
