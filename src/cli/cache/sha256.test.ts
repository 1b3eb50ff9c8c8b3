import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { test } from "node:test";
import { sha256 } from "./sha256.ts";

test("equals OpenSSL's digest at every length around the block size, and for long and non-ASCII texts", () => {
  for (let length = 0; length < 200; length++) {
    const text = "é".repeat(length % 7) + "k".repeat(length);
    assert.equal(sha256(text), hash("sha256", text));
  }
  const long = `{"args":["${"dGVzdA==".repeat(40_000)}"]}`;
  assert.equal(sha256(long), hash("sha256", long));
});

test("a Node that may not make machine code has no WebAssembly, and comes to the same digest", () => {
  const described = Object.getOwnPropertyDescriptor(globalThis, "WebAssembly");
  assert.ok(described !== undefined);
  Reflect.deleteProperty(globalThis, "WebAssembly");
  try {
    assert.equal(sha256("é"), hash("sha256", "é"));
  } finally {
    Object.defineProperty(globalThis, "WebAssembly", described);
  }
});
