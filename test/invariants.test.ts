import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "..");
const rows = readFileSync(join(root, "docs", "invariants.md"), "utf8")
  .split("\n")
  .map((line) => /^\| (?<rule>[RS]\d+) +\| (?<what>[^|]+) \| (?<held>.+?) +\|$/.exec(line)?.groups)
  .filter((groups) => groups !== undefined);

test("every rule has its row, in order", () => {
  const expected = [
    ...Array.from({ length: 8 }, (_, index) => `R${index + 1}`),
    ...Array.from({ length: 23 }, (_, index) => `S${index + 1}`),
  ];
  assert.deepEqual(
    rows.map(({ rule }) => rule),
    expected,
  );
});

for (const { rule, held = "" } of rows) {
  test(`${rule}: the tests that hold it exist, or it says why there are none`, () => {
    const named = [...held.matchAll(/`(?<file>[^`]+)`: (?<titles>"[^"]+"(?:; "[^"]+")*)/g)];
    if (named.length === 0) {
      assert.match(held, /do(?:es)? not exist yet|^see [RS]\d+$/);
      return;
    }
    for (const { groups } of named) {
      const file = join(root, groups?.["file"] ?? "");
      assert.ok(existsSync(file), `${groups?.["file"]} does not exist`);
      const text = readFileSync(file, "utf8");
      for (const [, title = ""] of (groups?.["titles"] ?? "").matchAll(/"([^"]+)"/g)) {
        assert.ok(text.includes(title), `${groups?.["file"]} holds no "${title}"`);
      }
    }
  });
}
