import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, KeyObject, sign as signWith } from "node:crypto";
import { describe, test } from "node:test";
import { compactVerify, CompactSign, generateKeyPair } from "jose";
import type { CryptoKey } from "jose";
import { isSignedBy } from "./jws-signature.ts";

const ALGORITHMS = [
  ...["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  ...["ES256", "ES384", "ES512", "EdDSA", "Ed25519"],
];

/** A signature, taken apart. */
async function signed(alg: string, key: CryptoKey): Promise<{ input: Buffer; signature: Buffer }> {
  const token = await new CompactSign(Buffer.from("payload")).setProtectedHeader({ alg }).sign(key);
  const end = token.lastIndexOf(".");
  return {
    input: Buffer.from(token.slice(0, end)),
    signature: Buffer.from(token.slice(end + 1), "base64url"),
  };
}

describe("every signature is judged as jose judges it", () => {
  for (const alg of ALGORITHMS) {
    test(alg, async () => {
      const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
      const stranger = await generateKeyPair(alg);
      const { input, signature } = await signed(alg, privateKey);
      const flipped = Buffer.from(signature);
      flipped.writeUInt8(flipped.readUInt8(flipped.length - 1) ^ 1, flipped.length - 1);
      const der = alg.startsWith("ES")
        ? [signWith(`sha${alg.slice(2)}`, input, KeyObject.from(privateKey))]
        : [];
      const cases = [
        [publicKey, input, signature],
        [publicKey, input, flipped],
        [publicKey, Buffer.concat([input, Buffer.from("A")]), signature],
        [stranger.publicKey, input, signature],
        [publicKey, input, Buffer.alloc(signature.length)],
        [publicKey, input, Buffer.alloc(signature.length, 0xff)],
        [publicKey, input, Buffer.alloc(0)],
        [publicKey, input, signature.subarray(1)],
        [publicKey, input, Buffer.concat([signature, Buffer.alloc(1)])],
        ...der.map((encoded) => [publicKey, input, encoded] as const),
      ] as const;
      const verdicts: boolean[] = [];
      for (const [key, bytes, candidate] of cases) {
        const good = await isSignedBy(key, alg, bytes, candidate);
        const token = `${bytes.toString()}.${candidate.toString("base64url")}`;
        const judged = await compactVerify(token, key, { algorithms: [alg] }).then(
          () => true,
          () => false,
        );
        assert.equal(good, judged, token);
        verdicts.push(good);
      }
      assert.deepEqual(verdicts, [true, ...verdicts.slice(1).map(() => false)]);
    });
  }
});

/** As jose imports it for RS256. */
const imported = async (key: KeyObject): Promise<CryptoKey> =>
  key.toCryptoKey({ name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, true, ["verify"]);

test("cheap checks are made at once, the others on the thread pool", async () => {
  for (const alg of ["RS256", "PS256", "ES256", "EdDSA"]) {
    const { privateKey, publicKey } = await generateKeyPair(alg);
    const { input, signature } = await signed(alg, privateKey);
    assert.equal(isSignedBy(publicKey, alg, input, signature), true, alg);
  }
  for (const alg of ["ES384", "ES512"]) {
    const { privateKey, publicKey } = await generateKeyPair(alg);
    const { input, signature } = await signed(alg, privateKey);
    const answer = isSignedBy(publicKey, alg, input, signature);
    assert.ok(answer instanceof Promise, alg);
    assert.equal(await answer, true);
  }
  const slow = generateKeyPairSync("rsa", { modulusLength: 2048, publicExponent: 0x10003 });
  const input = Buffer.from("input");
  const answer = isSignedBy(
    await imported(slow.publicKey),
    "RS256",
    input,
    signWith("sha256", input, slow.privateKey),
  );
  assert.ok(answer instanceof Promise);
  assert.equal(await answer, true);
});

test("short RSA keys, keys of another type and unknown algorithms are refused", async () => {
  const short = generateKeyPairSync("rsa", { modulusLength: 1024 });
  const input = Buffer.from("input");
  const key = await imported(createPublicKey(short.privateKey));
  assert.throws(() => isSignedBy(key, "RS256", input, signWith("sha256", input, short.privateKey)), {
    code: "jws.key",
  });
  const { publicKey } = await generateKeyPair("ES256");
  assert.throws(() => isSignedBy(publicKey, "RS256", input, input), { code: "jws.key" });
  for (const alg of ["HS256", "none", "", "__proto__"]) {
    assert.throws(() => isSignedBy(publicKey, alg, input, input), { code: "jws.algorithm" });
  }
});
