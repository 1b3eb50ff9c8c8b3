// Every item that must be shown has tests of its name: `field N: …`, as a test or as a group of tests.
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "..", "..");
const ITEMS = Array.from({ length: 26 }, (_, index) => index + 1);
const TITLE = /\b(?:test|describe)\(\s*(["'`])(field (?:test )?\d[^:]*:.*?)\1,/g;

interface Titled {
  readonly file: string;
  readonly title: string;
}

const byItem = new Map<number, Titled[]>(ITEMS.map((item) => [item, []]));
for (const file of globSync(["test/**/*.test.ts", "src/**/*.test.ts"], { cwd: root }).toSorted()) {
  for (const [, , title = ""] of readFileSync(join(root, file), "utf8").matchAll(TITLE)) {
    // "field 2, 11 and 18: …" belongs to all of them.
    for (const number of title.slice(0, title.indexOf(":")).matchAll(/\d+/g)) {
      byItem.get(Number(number[0]))?.push({ file, title });
    }
  }
}

for (const [item, titled] of byItem) {
  test(`item ${item} has tests of its name`, (context) => {
    for (const { file, title } of titled) {
      context.diagnostic(`${item}: ${file}: ${title}`);
    }
    assert.ok(titled.length > 0, `no test is named "field ${item}: …"`);
    assert.ok(
      titled.some(({ file }) => file.startsWith("test/security/")),
      `no test of test/security is named "field ${item}: …"`,
    );
  });
}
