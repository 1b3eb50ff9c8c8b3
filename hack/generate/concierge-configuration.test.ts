import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { stringify } from "yaml";
import { parseConfig } from "../../src/concierge/config/load-config.ts";
import { OBJECT_NAME_KEYS } from "../../src/concierge/config/validate.ts";
import { conciergeConfigurationFiles } from "./concierge-configuration.ts";
import { configurationKeys } from "./concierge-configuration-keys.ts";

type Tree = { [key: string]: unknown };

/** A mapping with these values at these dotted paths. */
function tree(entries: readonly (readonly [string, unknown])[]): Tree {
  const whole: Tree = {};
  for (const [path, value] of entries) {
    const names = path.split(".");
    const last = names.pop() ?? "";
    let at = whole;
    for (const name of names) {
      at = (at[name] ??= {}) as Tree;
    }
    at[last] = value;
  }
  return whole;
}

const nameValues = OBJECT_NAME_KEYS.map((name) => [`names.${name}`, name] as const);
const parsed = (entries: readonly (readonly [string, unknown])[]): unknown =>
  parseConfig(stringify(tree([...nameValues, ...entries])));

describe("the keys of the configuration file", () => {
  it("are those that the server reads, each of its type", () => {
    const wrong = { "list of texts": 1, "map of texts": 1 } as Readonly<Record<string, unknown>>;
    for (const { path, type } of configurationKeys) {
      const around = path.startsWith("standalone.") ? [["standalone.manifestsFolder", "m"] as const] : [];
      assert.throws(
        () => parsed([...around, [path, wrong[type] ?? [1]]]),
        new RegExp(`decode yaml: ${path.replaceAll(".", "\\.")} must be `),
        path,
      );
    }
  });

  it("are all that the server reads", () => {
    const folder = join(import.meta.dirname, "../../src/concierge/config");
    const source = readFileSync(join(folder, "load-config.ts"), "utf8");
    const read = [
      ...source.matchAll(
        /(?:\.(?:text|texts|textMap|integer|number|boolean|section|has)|\b(?:rate|milliseconds))\(\s*"(\w+)"/g,
      ),
    ].map(([, name]) => name ?? "");
    assert.ok(read.length > 30);
    const documented = new Set(configurationKeys.flatMap(({ path }) => path.split(".")));
    assert.deepEqual(
      read.filter((name) => !documented.has(name)),
      [],
    );
  });

  it("have the documented defaults", () => {
    const defaults = configurationKeys
      .filter(({ path, defaultValue }) => defaultValue !== undefined && !path.startsWith("standalone."))
      .map(({ path, defaultValue }) => [path, defaultValue] as const);
    assert.deepEqual(parsed(defaults), parsed([]));
    const folder = ["standalone.manifestsFolder", "m"] as const;
    const standalone = configurationKeys
      .filter(({ path, defaultValue }) => defaultValue !== undefined && path.startsWith("standalone."))
      .map(({ path, defaultValue }) => [path, defaultValue] as const);
    assert.deepEqual(parsed([folder, ...standalone]), parsed([folder]));
  });

  it("have a row each", () => {
    const page = conciergeConfigurationFiles().get("docs/configuration.md") ?? "";
    for (const { path } of configurationKeys) {
      assert.ok(page.includes(`| \`${path}\` |`), path);
    }
  });
});
