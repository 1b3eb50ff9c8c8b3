import assert from "node:assert/strict";
import { test } from "node:test";
import { mergeAnnotations } from "./service-annotations.ts";

const BOOK = "credentialissuer.pinniped.dev/annotation-keys";
type Annotations = Readonly<Record<string, string>>;

const cases: readonly (readonly [
  title: string,
  present: Annotations,
  desired: Annotations,
  merged: Annotations,
])[] = [
  ["nothing", {}, {}, {}],
  ["the first ones", {}, { b: "2", a: "1" }, { a: "1", b: "2", [BOOK]: '["a","b"]' }],
  ["others' stay", { x: "9" }, { a: "1" }, { x: "9", a: "1", [BOOK]: '["a"]' }],
  ["ours win", { a: "9", [BOOK]: '["a"]' }, { a: "1" }, { a: "1", [BOOK]: '["a"]' }],
  [
    "one that left the spec goes",
    { a: "1", b: "2", x: "9", [BOOK]: '["a","b"]' },
    { b: "3" },
    { b: "3", x: "9", [BOOK]: '["b"]' },
  ],
  ["the last one takes the bookkeeping along", { a: "1", x: "9", [BOOK]: '["a"]' }, {}, { x: "9" }],
  ["bookkeeping that cannot be read counts as absent", { a: "1", [BOOK]: "[" }, {}, { a: "1" }],
  [
    "bookkeeping of another form too",
    { a: "1", [BOOK]: '{"a":1}' },
    { b: "2" },
    { a: "1", b: "2", [BOOK]: '["b"]' },
  ],
  ["keys without end or beginning", { a: "1", [BOOK]: '["a",3,"gone"]' }, {}, {}],
  ["the bookkeeping itself is nobody's annotation", {}, { [BOOK]: "x", a: "1" }, { a: "1", [BOOK]: '["a"]' }],
];

for (const [title, present, desired, merged] of cases) {
  test(`annotations (contract 6.6): ${title}`, () => {
    assert.deepEqual(mergeAnnotations(present, desired), merged);
  });
}
