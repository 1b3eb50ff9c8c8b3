// The tests themselves, tested: each line that keeps users apart is taken out of a copy of the source, and the suite goes red.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { mutations } from "./harness/mutations.ts";
import type { Mutation } from "./harness/mutations.ts";

const root = join(import.meta.dirname, "..", "..");
const COPIED = ["src", "test/security", "test/oidc", "test/oracle", "package.json"];
/** Two at a time, each in a copy of its own. */
const copies: string[] = [];
const idle: string[] = [];
const waiting: ((copy: string) => void)[] = [];

before(() => {
  for (const number of [1, 2]) {
    const copy = mkdtempSync(join(tmpdir(), `lanyard-mutation-${number}-`));
    copies.push(copy);
    idle.push(copy);
    for (const path of COPIED) {
      cpSync(join(root, path), join(copy, path), { recursive: true });
    }
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
  }
});
after(() => copies.forEach((copy) => rmSync(copy, { recursive: true })));

/** Runs `work` in a copy that nobody else uses meanwhile. */
async function inCopy<T>(work: (copy: string) => Promise<T>): Promise<T> {
  const copy = idle.pop() ?? (await new Promise<string>((resolve) => waiting.push(resolve)));
  try {
    return await work(copy);
  } finally {
    const next = waiting.shift();
    if (next === undefined) {
      idle.push(copy);
    } else {
      next(copy);
    }
  }
}

interface Result {
  readonly passed: number;
  readonly failed: number;
  readonly output: string;
}

/** A test that hangs without the line is red, too: it is given this long. */
const LONGEST_TEST_MILLISECONDS = 10_000;

function run(copy: string, { file, titles }: Mutation["red"]): Promise<Result> {
  // Most of a run is reading the same source again: its compiled form is kept.
  const { NODE_TEST_CONTEXT: _child, ...environment } = process.env;
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [
        "--test",
        "--test-reporter=tap",
        "--test-force-exit",
        `--test-timeout=${LONGEST_TEST_MILLISECONDS}`,
        `--test-name-pattern=${titles}`,
        file,
      ],
      {
        cwd: copy,
        env: { ...environment, NODE_COMPILE_CACHE: join(copy, "compiled") },
        maxBuffer: 64 * 1024 * 1024,
      },
      (_error, output) => {
        const count = (what: string): number =>
          Number(new RegExp(`^# ${what} (\\d+)$`, "m").exec(output)?.[1] ?? Number.NaN);
        resolve({ passed: count("pass"), failed: count("fail") + count("cancelled"), output });
      },
    );
  });
}

function mutate(copy: string, { file, edits }: Mutation): () => void {
  const path = join(copy, file);
  const original = readFileSync(path, "utf8");
  let text = original;
  for (const [from, to] of edits) {
    assert.equal(text.split(from).length, 2, `${file} holds this text once: ${from}`);
    text = text.replace(from, () => to);
  }
  assert.notEqual(text, original);
  writeFileSync(path, text);
  return () => writeFileSync(path, original);
}

describe("without a mutation everything is green", { concurrency: 2 }, () => {
  const files = Map.groupBy(mutations, ({ red }) => red.file);
  for (const [file, those] of files) {
    test(file, async () => {
      const titles = [...new Set(those.map(({ red }) => red.titles))];
      const { passed, failed, output } = await inCopy((copy) =>
        run(copy, { file, titles: titles.join("|") }),
      );
      assert.equal(failed, 0, output);
      assert.ok(passed >= titles.length, `${passed} tests of ${titles.length} patterns`);
    });
  }
});

describe("each mutation is found", { concurrency: 2 }, () => {
  for (const mutation of mutations) {
    test(mutation.name, async () => {
      const { failed, output } = await inCopy(async (copy) => {
        const restore = mutate(copy, mutation);
        try {
          return await run(copy, mutation.red);
        } finally {
          restore();
        }
      });
      assert.ok(failed > 0, `nobody noticed: ${output}`);
      // Red because of what a test saw, not because the mutant cannot be loaded.
      assert.match(output, /^ *not ok \d+ - (?!\S+\.test\.ts$)/m);
    });
  }
});
