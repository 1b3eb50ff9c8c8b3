import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";

const root = join(import.meta.dirname, "..");
const source = join(root, "src");

interface Import {
  readonly from: string;
  readonly to: string;
}

function importsUnder(folder: string): Import[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .flatMap((name) => {
      const file = join(folder, name);
      const specifiers = readFileSync(file, "utf8").matchAll(
        /(?:\bfrom\s+|\bimport\s*\(?\s*)["'](\.{1,2}\/[^"']+)["']/g,
      );
      return [...specifiers].map(([, specifier]) => ({
        from: relative(root, file),
        to: relative(root, join(dirname(file), specifier ?? "")),
      }));
    });
}

const imports = importsUnder(source);
const isTest = (file: string): boolean => file.endsWith(".test.ts") || file.includes("/testing/");
const offenders = (matches: (each: Import) => boolean): string[] =>
  imports
    .filter((each) => !isTest(each.from) && matches(each))
    .map(({ from, to }) => `${from} imports ${to}`);
const inside = (file: string, ...folders: string[]): boolean =>
  folders.some((folder) => file.startsWith(`src/${folder}/`));

test("the source holds imports to judge", () => {
  assert.ok(imports.length > 100, `only ${imports.length} relative imports were found`);
});

test("concierge, cli and supervisor never import each other", () => {
  const programs = ["concierge", "cli", "supervisor"];
  const wrong = offenders(({ from, to }) =>
    programs.some(
      (program) => inside(from, program) && inside(to, ...programs.filter((each) => each !== program)),
    ),
  );
  assert.deepEqual(wrong, []);
});

test("shared folders import nothing of the programs", () => {
  const shared = ["identity", "resources", "kube", "pki", "tls", "telemetry"];
  assert.deepEqual(
    offenders(({ from, to }) => inside(from, ...shared) && inside(to, "concierge", "cli", "supervisor")),
    [],
  );
});

test("servers and controllers meet only in holders", () => {
  const parts = ["concierge/api", "concierge/impersonator", "concierge/controllers"];
  const wrong = offenders(({ from, to }) =>
    parts.some((part) => inside(from, part) && inside(to, ...parts.filter((each) => each !== part))),
  );
  assert.deepEqual(wrong, []);
});

test("request/ and state/ do not know the servers or controllers", () => {
  assert.deepEqual(
    offenders(
      ({ from, to }) =>
        inside(from, "concierge/request", "concierge/state") &&
        inside(to, "concierge/api", "concierge/impersonator", "concierge/controllers"),
    ),
    [],
  );
});

test("nothing imports the composition root, hack/ or test/", () => {
  assert.deepEqual(
    offenders(
      ({ from, to }) =>
        to === "src/concierge/main.ts" ||
        (to === "src/concierge/program.ts" && from !== "src/concierge/main.ts") ||
        to.startsWith("hack/") ||
        to.startsWith("test/"),
    ),
    [],
  );
});

test("production code imports no tests and no test doubles", () => {
  assert.deepEqual(
    offenders(({ to }) => isTest(to)),
    [],
  );
});
