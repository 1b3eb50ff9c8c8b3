import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { base64ErrorOffset, goQuote } from "./go-text.ts";

test("strings are quoted as Go's %q does", () => {
  assert.equal(goQuote('a"\\\n\u0001é\u200b\u{e0001}'), '"a\\"\\\\\\n\\x01é\\u200b\\U000e0001"');
});

// Each number is what `encoding/base64` of Go 1.26 answered.
const offsets: readonly (readonly [string, number | undefined])[] = [
  ["", undefined],
  ["QUJD", undefined],
  ["QU\r\nJD\n", undefined],
  ["QQ==", undefined],
  ["QQ=\n=", undefined],
  ["QQ==\n", undefined],
  ["Q", 0],
  ["QUJDQ", 4],
  ["QUJD\nQQ", 5],
  ["QUJ*", 3],
  ["é", 0],
  ["QUJD=", 4],
  ["Q===", 1],
  ["QQ=", 3],
  ["QQ=A", 2],
  ["QQ==A", 4],
  ["QUI=A", 4],
  ["not base64", 3],
];

test("the offset of a base64 error is Go's", () => {
  for (const [text, offset] of offsets) {
    assert.equal(base64ErrorOffset(text), offset, JSON.stringify(text));
  }
});

test("whatever was encoded is sound", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const text = Buffer.from(bytes)
        .toString("base64")
        .replace(/(.{5})/g, "$1\r\n");
      assert.equal(base64ErrorOffset(text), undefined);
    }),
  );
});
