import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { decodePem, encodePem } from "./pem.ts";

test("blocks survive a round trip between any text", () => {
  const junk = fc.string().filter((text) => !text.includes("-----"));
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 400 }),
      fc.uint8Array({ maxLength: 400 }),
      junk,
      junk,
      (a, b, before, between) => {
        const text = `${before}\n${encodePem("CERTIFICATE", a)}${between}\n${encodePem("EC PRIVATE KEY", b)}`;
        assert.deepEqual(decodePem(text), [
          { type: "CERTIFICATE", bytes: Buffer.from(a) },
          { type: "EC PRIVATE KEY", bytes: Buffer.from(b) },
        ]);
      },
    ),
  );
});

test("lines are 64 characters and end with a newline", () => {
  assert.equal(
    encodePem("X", Buffer.alloc(50)),
    `-----BEGIN X-----\n${"A".repeat(64)}\nAAA=\n-----END X-----\n`,
  );
});

test("carriage returns, headers, indented ends and a missing last newline are accepted", () => {
  const expected = [{ type: "X", bytes: Buffer.from("hello") }];
  assert.deepEqual(decodePem("-----BEGIN X-----\r\naGVs\r\nbG8=\r\n-----END X-----"), expected);
  assert.deepEqual(decodePem("-----BEGIN X-----\nA: b\nC: d\n\naGVsbG8=\n-----END X-----  \n"), expected);
});

test("what is no block is skipped, and a whole block behind a broken one is found", () => {
  const good = encodePem("X", Buffer.from("hello"));
  for (const text of [
    "",
    "-----BEGIN X-----",
    "-----BEGIN X-----\n!!\n-----END X-----\n",
    "-----BEGIN X-----\naGVsbG8=\n-----END Y-----\n",
    "x-----BEGIN X-----\naGVsbG8=\n-----END X-----\n",
    "aGVsbG8=",
  ]) {
    assert.deepEqual(decodePem(text), [], text);
    assert.equal(decodePem(`${text}\n${good}`).length, 1, text);
  }
});

test("a million openings cost linear time", () => {
  const started = process.hrtime.bigint();
  assert.deepEqual(decodePem("-----BEGIN X-----\n".repeat(200_000)), []);
  assert.ok(process.hrtime.bigint() - started < 5_000_000_000n);
});
