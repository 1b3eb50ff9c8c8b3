import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import type { KubernetesObject } from "../src/kube/objects.ts";
import { consoleBlocks, missingOutput, transcriptOf } from "./documents/console-block.ts";
import { chartValueProblems, isOurs, manifestProblems, userOf, yamlDocuments } from "./documents/manifest.ts";
import { lanyardCommands, requireLanyardCommand } from "./documents/lanyard-command.ts";
import { markdownFiles } from "./documents/markdown-files.ts";
import { anchors, fencedBlocks, inlineCode, relativeLinks } from "./documents/markdown.ts";

const root = join(import.meta.dirname, "..");
const texts = markdownFiles(root);
const documents = [...texts.keys()];
const blocks = [...texts].flatMap(([file, text]) => fencedBlocks(file, text));
const consoles = consoleBlocks(blocks);

test("blocks are found as Markdown writes them", () => {
  const text =
    "```console\na\n```\n\n````console no-test: because\n```\nb\n````\n```yaml x.yaml\nc\n```\n~~~console cluster\nd\n~~~\n";
  assert.deepEqual(
    consoleBlocks(fencedBlocks("x.md", text)).map(({ line, run, content }) => ({ line, run, content })),
    [
      { line: 1, run: { where: "here" }, content: "a" },
      { line: 5, run: { where: "nowhere", reason: "because" }, content: "```\nb" },
      { line: 12, run: { where: "cluster" }, content: "d" },
    ],
  );
  assert.deepEqual(relativeLinks("[a](b.md#c) ![d](e.png) [f](https://g) `[h](i)` [j](#k)"), [
    "b.md#c",
    "e.png",
    "#k",
  ]);
  assert.deepEqual(
    [...anchors("# A *b* `c.d`, e\n## [Link](x.md) – end\n```\n# no\n```\n## Twice\n## Twice\n")],
    ["a-b-cd-e", "link--end", "twice", "twice-1"],
  );
});

test("a transcript is commands and the output that they must show", () => {
  assert.deepEqual(transcriptOf("$ one \\\n    two\nout\n\n$ three"), {
    script: "one \\\n    two\nthree",
    output: ["out"],
  });
  assert.deepEqual(transcriptOf("cat <<END\n$x\nEND"), { script: "cat <<END\n$x\nEND", output: [] });
  assert.equal(missingOutput(["a  ...  c", "d"], "x\na  b  c\ny\nd\n"), undefined);
  assert.equal(missingOutput(["d", "a"], "a\nd\n"), "a");
  assert.equal(missingOutput(["a.c"], "abc\n"), "a.c");
});

test("every console block runs, or says why not", (context) => {
  assert.ok(documents.includes("README.md"));
  assert.ok(consoles.length > 0);
  // Half a marker must not make a block vanish from all lists.
  for (const { file, line, info, run } of consoles) {
    assert.ok(run !== undefined, `${file}:${line} is neither run nor explained: ${info}`);
  }
  const where = (place: string): typeof consoles => consoles.filter(({ run }) => run?.where === place);
  context.diagnostic(
    `${consoles.length} console blocks: ${where("here").length} run here, ${where("cluster").length} on a cluster (test/integration/documents.test.ts), ${where("nowhere").length} are not run:`,
  );
  for (const { file, line, run } of where("nowhere")) {
    context.diagnostic(`${file}:${line}: ${run?.where === "nowhere" ? run.reason : ""}`);
  }
});

for (const { file, line, content } of consoles.filter(({ run }) => run?.where === "here")) {
  test(`the commands at ${file}:${line} run`, () => {
    // As a reader would type them, from the repository's root.
    const { script, output } = transcriptOf(content);
    const { status, stdout, stderr } = spawnSync("bash", ["-euo", "pipefail", "-c", script], {
      cwd: root,
      encoding: "utf8",
      timeout: 60_000,
      env: {
        ...process.env,
        PATH: `${join(root, "node_modules", ".bin")}:${process.env["PATH"] ?? ""}`,
        // A test runner that knows it is inside another one runs nothing.
        NODE_TEST_CONTEXT: undefined,
      },
    });
    assert.equal(status, 0, stderr);
    assert.equal(missingOutput(output, stdout), undefined, stdout);
  });
}

test("links in Markdown files lead somewhere, to the heading if they name one", () => {
  const dead = [...texts].flatMap(([file, text]) =>
    relativeLinks(text)
      .filter((target) => {
        const [path = "", anchor] = decodeURIComponent(target).split("#", 2);
        const found = path === "" ? file : path.startsWith("/") ? path.slice(1) : join(dirname(file), path);
        const named = texts.get(found);
        return (
          !existsSync(join(root, found)) ||
          (anchor !== undefined && !(named === undefined || anchors(named).has(anchor)))
        );
      })
      .map((target) => `${file}: ${target}`),
  );
  assert.deepEqual(dead, []);
});

test("every threat names rules that docs/invariants.md holds", () => {
  const rules = new Set(
    [...(texts.get("docs/invariants.md") ?? "").matchAll(/^\| (?<rule>[RS]\d+) /gm)].map(
      (match) => match.groups?.["rule"] ?? "",
    ),
  );
  const [, threats = ""] = (texts.get("docs/security-model.md") ?? "").split(/^## Threats .*$/m);
  const rows = threats
    .split(/^## /m, 1)
    .join("")
    .split("\n")
    .filter((line) => line.startsWith("| "))
    .slice(2);
  assert.ok(rows.length > 15);
  for (const row of rows) {
    const named = row.split("|").at(-2)?.trim().split(", ") ?? [];
    assert.ok(named.length > 0 && named.every((rule) => rules.has(rule)), row);
  }
});

test("every page under docs is reached from docs/README.md", () => {
  const map = relativeLinks(texts.get("docs/README.md") ?? "").map((target) =>
    join("docs", target.split("#", 1)[0] ?? ""),
  );
  const folders = map.filter((path) => existsSync(join(root, path)) && !path.endsWith(".md"));
  const missing = documents.filter(
    (file) =>
      file.startsWith("docs/") &&
      file !== "docs/README.md" &&
      !map.includes(file) &&
      !map.some(
        (path) => path.endsWith("README.md") && dirname(path) !== "docs" && dirname(path) === dirname(file),
      ) &&
      !folders.some((folder) => file.startsWith(`${folder.replace(/\/$/, "")}/`)),
  );
  assert.deepEqual(missing, []);
});

test("commands and flags of lanyard in Markdown files exist, also where nothing runs them", () => {
  const commands = [
    ...consoles.flatMap(({ file, content }) =>
      lanyardCommands(transcriptOf(content).script).map((line) => ({ file, line })),
    ),
    ...[...texts].flatMap(([file, text]) =>
      inlineCode(text)
        .filter((code) => /^lanyard [^|<.]+$/.test(code))
        .map((line) => ({ file, line })),
    ),
  ];
  assert.ok(commands.length > 10);
  for (const { file, line } of commands) {
    assert.doesNotThrow(() => requireLanyardCommand(line), `${file}: ${line}`);
  }
  assert.throws(() => requireLanyardCommand("lanyard get kubeconfig --no-such-flag"), /no-such-flag/);
  assert.throws(() => requireLanyardCommand("lanyard get nothing"));
});

test("YAML in Markdown files is right: our kinds, their expressions and examples, deny lists, values of the chart", () => {
  const wrong = blocks
    .filter(({ language }) => language === "yaml" || language === "yml")
    .flatMap(({ file, line, title, content }) => {
      const objects = yamlDocuments(content);
      const problems =
        title === "values.yaml" ? objects.flatMap(chartValueProblems) : objects.flatMap(manifestProblems);
      return problems.map((problem) => `${file}:${line}: ${problem}`);
    });
  assert.deepEqual(wrong, []);
});

test("mistakes in such YAML are found", () => {
  const authenticator = (spec: object): object => ({
    apiVersion: "authentication.concierge.pinniped.dev/v1alpha1",
    kind: "JWTAuthenticator",
    metadata: { name: "a" },
    spec: { issuer: "https://i", audience: "a", ...spec },
  });
  assert.deepEqual(manifestProblems(authenticator({})), []);
  assert.deepEqual(manifestProblems(authenticator({ nonsense: 1 })), ['unknown field "spec.nonsense"']);
  assert.match(
    manifestProblems(authenticator({ claims: { groupsExpression: "claims." } })).join(),
    /groupsExpression was invalid/,
  );
  assert.match(
    manifestProblems(
      authenticator({
        transforms: {
          expressions: [{ type: "username/v1", expression: "'x:' + username" }],
          examples: [{ username: "a", expects: { username: "a" } }],
        },
      }),
    ).join(),
    /example failed/,
  );
  const list = { kind: "ConfigMap", metadata: { name: "x-deny-list" }, data: { entries: "- usr: a" } };
  assert.match(manifestProblems(list).join(), /entry 1/);
  assert.deepEqual(chartValueProblems({ replicas: 2 }), []);
  assert.notDeepEqual(chartValueProblems({ replica: 2 }), []);
});

// A page's claims are those of its JWTAuthenticator above them: `json claims`, then `json user` or `json refused`.
for (const file of documents) {
  const own = blocks.filter((block) => block.file === file);
  for (const [index, { language, title, content, line }] of own.entries()) {
    if (language !== "json" || title !== "claims") {
      continue;
    }
    test(`the claims at ${file}:${line} make the user that the page says`, () => {
      const authenticator = own
        .slice(0, index)
        .filter((block) => block.language === "yaml")
        .flatMap((block) => yamlDocuments(block.content))
        .findLast(
          (object): object is KubernetesObject => isOurs(object) && object.kind === "JWTAuthenticator",
        );
      assert.ok(authenticator !== undefined, "there is no JWTAuthenticator above");
      const claims = JSON.parse(content) as Readonly<Record<string, unknown>>;
      const { issuer, audience } =
        (authenticator as { readonly spec?: Readonly<Record<string, string>> }).spec ?? {};
      assert.equal(claims["iss"], issuer);
      assert.ok([claims["aud"]].flat().includes(audience));
      const said = own[index + 1];
      assert.equal(said?.language, "json", "the user must follow");
      if (said.title === "refused") {
        const { err } = JSON.parse(said.content) as { readonly err: string };
        assert.throws(() => userOf(authenticator, claims), { message: err });
      } else {
        assert.equal(said.title, "user");
        assert.deepEqual(userOf(authenticator, claims), JSON.parse(said.content));
      }
    });
  }
}
