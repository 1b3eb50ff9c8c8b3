import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, sign, verify } from "node:crypto";
import { test } from "node:test";
import { generateP256KeyPair, isPrivateKey } from "./p256-key-pair.ts";

test("both forms are those that OpenSSL writes itself, and belong together", () => {
  const seen = new Set<string>();
  for (let round = 0; round < 50; round++) {
    const { pkcs8, spki } = generateP256KeyPair();
    const privateKey = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
    assert.deepEqual(privateKey.export({ format: "der", type: "pkcs8" }), pkcs8);
    assert.deepEqual(createPublicKey(privateKey).export({ format: "der", type: "spki" }), spki);
    assert.equal(privateKey.asymmetricKeyDetails?.namedCurve, "prime256v1");
    const data = Buffer.from("data");
    const publicKey = createPublicKey({ key: spki, format: "der", type: "spki" });
    assert.ok(verify("sha256", data, publicKey, sign("sha256", data, privateKey)));
    seen.add(spki.toString("hex"));
  }
  assert.equal(seen.size, 50, "no pair comes twice");
});

test("a pair does not change when the next one is made", () => {
  const first = generateP256KeyPair();
  const copy = { pkcs8: Buffer.from(first.pkcs8), spki: Buffer.from(first.spki) };
  generateP256KeyPair();
  assert.deepEqual(first, copy);
});

test("private keys are from 1 to the order less 1 (FIPS 186-5 appendix A.2.2)", () => {
  const bytes = (hex: string): Buffer => Buffer.from(hex.padStart(64, "0"), "hex");
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
  for (const [value, fit] of [
    [0n, false],
    [1n, true],
    [order - 1n, true],
    [order, false],
    [order + 1n, false],
    [2n ** 256n - 1n, false],
  ] as const) {
    assert.equal(isPrivateKey(bytes(value.toString(16))), fit, value.toString(16));
  }
});
