import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { type JsonValue, writeYaml } from "./write-yaml.ts";

const data = (name: string): string => readFileSync(join(import.meta.dirname, "testdata", name), "utf8");

test("YAML is written as sigs.k8s.io/yaml 1.6.0 writes the same JSON", () => {
  assert.equal(writeYaml(JSON.parse(data("yaml-writing.json")) as JsonValue), data("yaml-writing.yaml"));
});

test("characters that a terminal obeys are escaped and read back", () => {
  const value = {
    a: "x\u202ey",
    b: "\u2028",
    c: "\u001b]0;title\u0007",
    d: "\u009b31m",
    e: "line\n\u001b[2J",
  };
  const text = writeYaml(value);
  assert.match(text, /^[\x20-\x7e\n]+$/);
  assert.deepEqual(parse(text, { version: "1.1" }), value);
});

test("empty collections and plain values stand alone", () => {
  assert.deepEqual([{}, [], null, "x"].map(writeYaml), ["{}\n", "[]\n", "null\n", "x\n"]);
});
