import assert from "node:assert/strict";
import { closeSync, mkdirSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { loadFileLocking } from "../file-lock/file-lock.ts";
import { changeCache } from "./cache-transaction.ts";
import type { CacheTransaction } from "./cache-transaction.ts";
import { createWorkstation, passTimeUntil } from "./testing/simulated-cluster.ts";
import { temporaryFolder } from "./testing/temporary-folder.ts";

const time = "2026-05-01T12:00:00Z";
const entry = { key: "k", creationTimestamp: time, lastUsedTimestamp: time };
const add: CacheTransaction["change"] = (entries) => [...entries, entry];

// The texts of contract cli.md 6 and 7.
for (const { noun, kind, cache, folderOf } of [
  { noun: "session", kind: "SessionCache", cache: "session cache", folderOf: "session cache" },
  { noun: "cache", kind: "CredentialCache", cache: "cache", folderOf: "credential cache" },
] as const) {
  describe(`what keeps the ${folderOf} from being changed has the contract's words`, () => {
    /** What was told while a file was changed. */
    const tell = async (file: string, change = add): Promise<readonly string[]> => {
      const { clock, request } = createWorkstation();
      const told: string[] = [];
      const done = await passTimeUntil(
        clock,
        changeCache({
          context: request.context,
          file,
          kind,
          noun,
          report: (problem) => told.push(`${problem.kind}: ${problem.text}`),
          change,
        }),
        500,
      );
      assert.equal(done, told.length === 0 || told.every((text) => /unlock|resetting/.test(text)));
      return told;
    };

    test("a folder that cannot be made", async () => {
      const file = join(temporaryFolder(), "file");
      writeFileSync(file, "");
      assert.deepEqual(await tell(join(file, "below", "c.yaml")), [
        `failed: could not create ${folderOf} directory: ${join(file, "below")} cannot be created (ENOTDIR)`,
      ]);
    });

    test("a lock that somebody else holds", async () => {
      const file = join(temporaryFolder(), "c.yaml");
      const lock = (await loadFileLocking(process.platform)).tryLock(`${file}.lock`);
      assert.deepEqual(await tell(file), [
        `failed: could not lock ${noun} file: ${file}.lock is still locked after 10 s`,
      ]);
      lock?.release();
      assert.deepEqual(await tell(file), []);
    });

    test("a lock that cannot be let go", async () => {
      const file = join(temporaryFolder(), "c.yaml");
      const [told, ...more] = await tell(file, (entries) => {
        for (const name of readdirSync("/proc/self/fd")) {
          if (leadsTo(name, `${file}.lock`)) {
            closeSync(Number(name));
          }
        }
        return entries;
      });
      assert.match(told ?? "", new RegExp(`^failed: could not unlock ${noun} file: .*EBADF`));
      assert.deepEqual(more, []);
    });

    test("a file that cannot be written", async () => {
      // Its lock has a name of 255 bytes, the file that would replace it a longer one.
      const file = join(temporaryFolder(), "c".repeat(250));
      assert.deepEqual(await tell(file), [
        `failed: could not write ${cache}: ${file} cannot be written (ENAMETOOLONG)`,
      ]);
    });

    test("a file that cannot be read as what it should be", async () => {
      const file = join(temporaryFolder(), "p", "c.yaml");
      mkdirSync(dirname(file), { mode: 0o700 });
      writeFileSync(file, "secret: [", { mode: 0o600 });
      const [told, ...more] = await tell(file);
      assert.match(
        told ?? "",
        /^failed: failed to read cache, resetting: c\.yaml is neither JSON nor YAML; it was moved to .*c\.yaml\.corrupt-/,
      );
      assert.deepEqual(more, []);
    });
  });
}

function leadsTo(descriptor: string, path: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`) === path;
  } catch {
    // The one that the folder was read by.
    return false;
  }
}
