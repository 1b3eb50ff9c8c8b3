import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { killDuringStore } from "../../src/cli/cache/testing/kill-during-store.ts";

/** As contract cli.md 13.6 asks; a short run has its share of them. */
const kills = Math.ceil(Math.min(1, Number(process.env["LANYARD_TEST_MINUTES"] ?? "15") / 15) * 1000);

test("case 7 in full length: kill -9 during store, 1000 times: the file is always readable, no entry is lost", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "lanyard-crash-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const report = await killDuringStore(folder, { kills, limit: 30 * 60_000 });
  t.diagnostic(`${report.kills} kills during ${report.stores} stores`);
  assert.equal(report.kills, kills);
  assert.ok(
    report.leftovers.length <= 2,
    `what killed processes leave behind adds up: ${report.leftovers.join(", ")}`,
  );
});
