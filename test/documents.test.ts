import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "..");

interface ConsoleBlock {
  readonly file: string;
  readonly line: number;
  /** Why it is not run; undefined for one that is. */
  readonly noTest: string | undefined;
  readonly info: string;
  readonly commands: string;
}

const documents = globSync("**/*.md", {
  cwd: root,
  exclude: (name) => ["node_modules", "dist", ".cache", ".git"].includes(name),
}).toSorted();

/** The fenced blocks of a Markdown text whose info string starts with `console` (CommonMark section 4.5). */
function consoleBlocks(file: string, text: string): ConsoleBlock[] {
  const blocks: ConsoleBlock[] = [];
  const lines = text.split("\n");
  for (let index = 0; index < lines.length; index++) {
    const opening = /^ {0,3}(?<fence>`{3,}|~{3,})\s*(?<info>.*)$/.exec(lines[index] ?? "")?.groups;
    if (opening === undefined) {
      continue;
    }
    const fence = opening["fence"] ?? "";
    const info = (opening["info"] ?? "").trim();
    const line = index + 1;
    const content: string[] = [];
    for (index += 1; index < lines.length && !(lines[index] ?? "").trim().startsWith(fence); index++) {
      content.push(lines[index] ?? "");
    }
    if (info.split(/\s/, 1)[0] === "console") {
      const noTest = /^console no-test: (?<reason>\S.*)$/.exec(info)?.groups?.["reason"];
      blocks.push({ file, line, noTest, info, commands: content.join("\n") });
    }
  }
  return blocks;
}

/** Relative targets of links and images, without those in code. */
function relativeLinks(text: string): string[] {
  const prose = text.replaceAll(/^ {0,3}(`{3,}|~{3,})[\s\S]*?^ {0,3}\1/gm, "").replaceAll(/`[^`\n]*`/g, "");
  return [...prose.matchAll(/\]\((?<target>[^)\s]+)(?:\s+"[^"]*")?\)/g)]
    .map((match) => match.groups?.["target"] ?? "")
    .filter((target) => !/^(?:[a-z][a-z+.-]*:|#)/i.test(target));
}

const blocks = documents.flatMap((file) => consoleBlocks(file, readFileSync(join(root, file), "utf8")));

test("console blocks are found as Markdown writes them", () => {
  const text = "```console\na\n```\n\n````console no-test: because\n```\nb\n````\n```yaml\nc\n```\n";
  assert.deepEqual(
    consoleBlocks("x.md", text).map(({ line, noTest, commands }) => ({ line, noTest, commands })),
    [
      { line: 1, noTest: undefined, commands: "a" },
      { line: 5, noTest: "because", commands: "```\nb" },
    ],
  );
  assert.deepEqual(relativeLinks("[a](b.md#c) ![d](e.png) [f](https://g) `[h](i)` [j](#k)"), [
    "b.md#c",
    "e.png",
  ]);
});

test("every console block runs, or says why not", (context) => {
  assert.ok(documents.includes("README.md"));
  assert.ok(blocks.length > 0);
  // Half a marker must not make a block vanish from both lists.
  for (const { file, line, info } of blocks) {
    assert.match(
      info,
      /^console(?: no-test: \S.*)?$/,
      `${file}:${line} is neither run nor explained: ${info}`,
    );
  }
  const untested = blocks.filter(({ noTest }) => noTest !== undefined);
  context.diagnostic(`${blocks.length} console blocks, ${untested.length} of them not run:`);
  for (const { file, line, noTest } of untested) {
    context.diagnostic(`${file}:${line}: ${noTest}`);
  }
});

for (const { file, line, commands } of blocks.filter(({ noTest }) => noTest === undefined)) {
  test(`the commands at ${file}:${line} run`, () => {
    // As a reader would type them: from the repository's root, a `$ ` in front of commands, output below them.
    const prompted = commands.split("\n").filter((each) => each.startsWith("$ "));
    const script = prompted.length > 0 ? prompted.map((each) => each.slice(2)).join("\n") : commands;
    const { status, stderr } = spawnSync("bash", ["-euo", "pipefail", "-c", script], {
      cwd: root,
      encoding: "utf8",
      timeout: 60_000,
    });
    assert.equal(status, 0, stderr);
  });
}

test("relative links in Markdown files lead somewhere", () => {
  const dead = documents.flatMap((file) =>
    relativeLinks(readFileSync(join(root, file), "utf8"))
      .filter((target) => {
        const path = decodeURIComponent(target.split("#", 1)[0] ?? "");
        return !existsSync(path.startsWith("/") ? join(root, path) : join(root, dirname(file), path));
      })
      .map((target) => `${file}: ${target}`),
  );
  assert.deepEqual(dead, []);
});
