import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { generateKeyPairSync, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { test } from "node:test";
import * as fc from "fast-check";
import { oracleCertificationRequest } from "../../test/oracle/oracle.ts";
import {
  MAXIMUM_CERTIFICATION_REQUEST_BYTES,
  parseCertificationRequest,
  verifyCertificationRequest,
} from "./certificate-signing-request.ts";
import { createCertificationRequest } from "./create-certification-request.ts";
import {
  derBitString,
  derContext,
  derElement,
  derInteger,
  derNull,
  derObjectIdentifier,
  derSequence,
  derSetOf,
  derUtf8String,
} from "./der.ts";
import { encodeClientSubject, encodeRewrittenClientSubject } from "./distinguished-name.ts";
import { generateP256KeyPair } from "./p256-key-pair.ts";
import { encodePem } from "./pem.ts";

function openssl(...options: readonly string[]): string {
  return execFileSync(
    "openssl",
    ["req", "-new", "-nodes", "-keyout", "/dev/null", "-subj", "/CN=somebody", "-newkey", ...options],
    { stdio: ["ignore", "pipe", "ignore"] },
  ).toString();
}

const PSS = ["-sigopt", "rsa_padding_mode:pss", "-sigopt"];
const ECDSA_SHA256 = derSequence(derObjectIdentifier("1.2.840.10045.4.3.2"));
const EMPTY_SUBJECT = derSequence();

/** A request made by hand, signed with `privateKey`, with any part replaced. */
function handMade(wish: {
  readonly spki?: Buffer;
  readonly privateKey?: KeyObject;
  readonly version?: Buffer;
  readonly attributes?: Buffer;
  readonly algorithm?: Buffer;
  readonly hash?: string;
  readonly signature?: Buffer;
  readonly more?: readonly Buffer[];
  readonly moreInfo?: readonly Buffer[];
}): string {
  const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const spki = wish.spki ?? pair.publicKey.export({ format: "der", type: "spki" });
  const info = derSequence(
    wish.version ?? derInteger(0),
    EMPTY_SUBJECT,
    spki,
    wish.attributes ?? derContext(0),
    ...(wish.moreInfo ?? []),
  );
  const signature = sign(wish.hash ?? "sha256", info, wish.privateKey ?? pair.privateKey);
  return encodePem(
    "CERTIFICATE REQUEST",
    derSequence(
      info,
      wish.algorithm ?? ECDSA_SHA256,
      wish.signature ?? derBitString(signature),
      ...(wish.more ?? []),
    ),
  );
}

const spkiOf = (key: KeyObject): Buffer => key.export({ format: "der", type: "spki" });

test("requests of OpenSSL with every accepted key and algorithm are read as Go reads them", async () => {
  const kinds: readonly (readonly string[])[] = [
    ["rsa:2048", "-sha256"],
    ["rsa:3072", "-sha384"],
    ["rsa:4096", "-sha512"],
    ["rsa:2048", "-sha256", ...PSS, "rsa_pss_saltlen:digest"],
    ["rsa:2048", "-sha512", ...PSS, "rsa_pss_saltlen:digest"],
    ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
    ["ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-sha384"],
    ["ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-sha512"],
    ["ed25519"],
    ["ed25519", "-addext", "subjectAltName=DNS:a.example"],
  ];
  for (const kind of kinds) {
    const pem = openssl(...kind);
    const request = parseCertificationRequest(pem);
    assert.doesNotThrow(() => verifyCertificationRequest(request), kind.join(" "));
    const go = await oracleCertificationRequest(pem);
    assert.equal(go.signatureError, undefined);
    assert.equal(request.publicKeyInfo.toString("hex"), go.publicKeyInfoHex);
  }
  const old = openssl("ed25519", "-newhdr");
  assert.match(old, /NEW CERTIFICATE REQUEST/);
  verifyCertificationRequest(parseCertificationRequest(`\n${old.replaceAll("\n", "\r\n")}  \n`));
});

test("keys that are not RSA 2048 to 4096 with 65537, P-256, P-384 or Ed25519 are refused", () => {
  const rsa = (bits: number, exponent: number): string =>
    handMade({
      spki: spkiOf(generateKeyPairSync("rsa", { modulusLength: bits, publicExponent: exponent }).publicKey),
    });
  const rsaKey = (modulus: Buffer): string =>
    handMade({
      spki: derSequence(
        derSequence(derObjectIdentifier("1.2.840.113549.1.1.1"), derNull()),
        derBitString(derSequence(derInteger(modulus), derInteger(65537))),
      ),
    });
  const point = (curve: string, bytes: Buffer): string =>
    handMade({
      spki: derSequence(
        derSequence(derObjectIdentifier("1.2.840.10045.2.1"), derObjectIdentifier(curve)),
        derBitString(bytes),
      ),
    });
  const p256 = "1.2.840.10045.3.1.7";
  const onCurve = generateP256KeyPair().spki.subarray(-65);
  const offCurve = Buffer.from(onCurve);
  offCurve[64] = (offCurve[64] ?? 0) ^ 1;
  const compressed = Buffer.concat([Buffer.from([2 + ((onCurve[64] ?? 0) & 1)]), onCurve.subarray(1, 33)]);
  const hybrid = Buffer.from(onCurve);
  hybrid[0] = 6 + ((onCurve[64] ?? 0) & 1);
  const ed25519 = (key: Buffer): string =>
    handMade({ spki: derSequence(derSequence(derObjectIdentifier("1.3.101.112")), derBitString(key)) });
  const smallOrder = Buffer.from("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa", "hex");
  const hostile: Readonly<Record<string, string>> = {
    "RSA 1024": rsa(1024, 65537),
    "RSA 2040": rsa(2040, 65537),
    "RSA 4104": rsaKey(Buffer.concat([Buffer.alloc(512, 0xff), Buffer.from([0xff])])),
    "RSA with a huge modulus": rsaKey(Buffer.alloc(11_000, 0xff)),
    "RSA with an even modulus": rsaKey(Buffer.concat([Buffer.alloc(255, 0xff), Buffer.from([0xfe])])),
    "RSA with exponent 3": rsa(2048, 3),
    "P-224": handMade({ spki: spkiOf(generateKeyPairSync("ec", { namedCurve: "secp224r1" }).publicKey) }),
    "P-521": handMade({ spki: spkiOf(generateKeyPairSync("ec", { namedCurve: "secp521r1" }).publicKey) }),
    secp256k1: handMade({ spki: spkiOf(generateKeyPairSync("ec", { namedCurve: "secp256k1" }).publicKey) }),
    "explicit curve parameters": handMade({
      spki: spkiOf(generateKeyPairSync("ec", { namedCurve: "P-256", paramEncoding: "explicit" }).publicKey),
    }),
    X25519: handMade({ spki: spkiOf(generateKeyPairSync("x25519").publicKey) }),
    Ed448: handMade({ spki: spkiOf(generateKeyPairSync("ed448").publicKey) }),
    "an RSA-PSS key": handMade({
      spki: spkiOf(generateKeyPairSync("rsa-pss", { modulusLength: 2048 }).publicKey),
    }),
    DSA: handMade({
      spki: spkiOf(generateKeyPairSync("dsa", { modulusLength: 2048, divisorLength: 256 }).publicKey),
    }),
    "a point beside its curve": point(p256, offCurve),
    "the point at infinity": point(p256, Buffer.from([0])),
    "a compressed point": point(p256, compressed),
    "a hybrid point": point(p256, hybrid),
    "a P-256 point on P-384": point("1.3.132.0.34", onCurve),
    "Ed25519 of small order": ed25519(smallOrder),
    "Ed25519 of 31 bytes": ed25519(Buffer.alloc(31, 5)),
  };
  for (const [name, pem] of Object.entries(hostile)) {
    assert.throws(
      () => parseCertificationRequest(pem),
      { code: "certificationRequest.publicKey", httpStatus: 422, message: /^must hold a public key of RSA/ },
      name,
    );
  }
  assert.doesNotThrow(() => parseCertificationRequest(point(p256, onCurve)));
});

test("what is not exactly one block of strict DER of the form of RFC 2986 is refused", () => {
  const pem = handMade({});
  const der = parseCertificationRequest(pem).der;
  const asPem = (bytes: Uint8Array): string => encodePem("CERTIFICATE REQUEST", bytes);
  const attribute = derSequence(derObjectIdentifier("1.2.840.113549.1.9.7"), derSetOf([derUtf8String("x")]));
  const blocks: Readonly<Record<string, string>> = {
    nothing: "",
    "two blocks": pem + pem,
    "another block behind": `${pem}${encodePem("CERTIFICATE", der)}`,
    "another type": encodePem("CERTIFICATE", der),
    "text in front": `hello\n${pem}`,
    "text behind": `${pem}hello`,
    "a header": pem.replace("REQUEST-----\n", "REQUEST-----\nProc-Type: 4\n\n"),
    "two labels": pem.replace("-----END CERT", "-----END NEW CERT"),
    "other base64": pem.replaceAll("+", "-").replace("M", "_"),
    "lost padding": asPem(Buffer.concat([der, Buffer.alloc(3 - ((der.length + 2) % 3))])).replace(/=+/, ""),
    "spare bits set": `-----BEGIN CERTIFICATE REQUEST-----\nMB==\n-----END CERTIFICATE REQUEST-----\n`,
    "an empty block": "-----BEGIN CERTIFICATE REQUEST-----\n-----END CERTIFICATE REQUEST-----\n",
  };
  for (const [name, text] of Object.entries(blocks)) {
    if (name === "lost padding" && text.length % 4 === 0) {
      continue;
    }
    assert.throws(() => parseCertificationRequest(text), { httpStatus: 422 }, name);
  }
  const longForm = Buffer.concat([
    Buffer.from([0x30, 0x83, 0x00]),
    Buffer.from([(der.length - 3) >> 8, (der.length - 3) & 0xff]),
    der.subarray(3),
  ]);
  const forms: Readonly<Record<string, string>> = {
    "trailing bytes": asPem(Buffer.concat([der, Buffer.from([0])])),
    "a length that is too long": asPem(longForm),
    "an indefinite length": asPem(
      Buffer.concat([Buffer.from([0x30, 0x80]), der.subarray(3), Buffer.alloc(2)]),
    ),
    "version 1": handMade({ version: derInteger(1) }),
    "a padded version": handMade({ version: derElement(2, Buffer.alloc(2)) }),
    "no attributes": handMade({ attributes: Buffer.alloc(0) }),
    "attributes of another tag": handMade({ attributes: derContext(1) }),
    "an attribute without values": handMade({
      attributes: derContext(0, derSequence(derObjectIdentifier("1.2.3"))),
    }),
    "an attribute with a third part": handMade({
      attributes: derContext(0, derSequence(derObjectIdentifier("1.2.3"), derSetOf([]), derNull())),
    }),
    "a fifth part": handMade({ moreInfo: [derNull()] }),
    "a fourth part": handMade({ more: [derNull()] }),
    "a signature with unused bits": handMade({ signature: derBitString(Buffer.from([0xf0]), 4) }),
    "a signature of another type": handMade({ signature: derElement(4, Buffer.alloc(70)) }),
  };
  for (const [name, text] of Object.entries(forms)) {
    assert.throws(
      () => parseCertificationRequest(text),
      { code: "certificationRequest.malformed", httpStatus: 422 },
      name,
    );
  }
  assert.doesNotThrow(() => parseCertificationRequest(handMade({ attributes: derContext(0, attribute) })));
  for (let length = 1; length < der.length; length++) {
    assert.throws(() => parseCertificationRequest(asPem(der.subarray(0, length))), {
      code: "certificationRequest.malformed",
    });
  }
});

test("more than 16 KiB is refused unread, and 16 KiB of anything cost little", () => {
  assert.throws(
    () => parseCertificationRequest(" ".repeat(MAXIMUM_CERTIFICATION_REQUEST_BYTES) + handMade({})),
    { code: "certificationRequest.tooLarge", httpStatus: 422 },
  );
  const space = MAXIMUM_CERTIFICATION_REQUEST_BYTES - 100;
  const payload = Buffer.alloc(Math.floor((space * 3) / 4.2));
  const hostile = [
    " ".repeat(space),
    "-----BEGIN CERTIFICATE REQUEST-----\n".repeat(400),
    `-----BEGIN CERTIFICATE REQUEST-----\n${" ".repeat(space)}`,
    // Depth and width of DER, and identifiers without end.
    encodePem("CERTIFICATE REQUEST", payload.fill(Buffer.from([0x30, 0x80]))),
    encodePem("CERTIFICATE REQUEST", derSequence(payload.subarray(8).fill(Buffer.from([0x30, 0])))),
    handMade({ algorithm: derSequence(derElement(6, payload.subarray(300).fill(0x81))) }),
    handMade({ attributes: derContext(0, payload.subarray(300).fill(Buffer.from([0x30, 0]))) }),
  ];
  const before = process.cpuUsage();
  for (const text of hostile) {
    try {
      verifyCertificationRequest(parseCertificationRequest(text));
      assert.fail("was accepted");
    } catch (error) {
      assert.match(String((error as { code?: unknown }).code), /^certificationRequest\./);
    }
  }
  const { user } = process.cpuUsage(before);
  assert.ok(user < 500_000, `${user} microseconds of CPU`);
});

test("only a signature of the key itself, with an accepted algorithm that fits it, proves possession", () => {
  const code = (pem: string): string => {
    try {
      verifyCertificationRequest(parseCertificationRequest(pem));
      return "";
    } catch (error) {
      assert.equal((error as { httpStatus?: unknown }).httpStatus, 422);
      return (error as { code: string }).code;
    }
  };
  const other = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const identifier = (oid: string, ...parameters: readonly Buffer[]): Buffer =>
    derSequence(derObjectIdentifier(oid), ...parameters);
  const withRsa = (oid: string, hash: string): string =>
    handMade({
      spki: spkiOf(rsa.publicKey),
      privateKey: rsa.privateKey,
      algorithm: identifier(oid, derNull()),
      hash,
    });
  assert.equal(code(handMade({})), "");
  assert.equal(code(withRsa("1.2.840.113549.1.1.11", "sha256")), "");
  const signature = "certificationRequest.signature";
  assert.equal(code(handMade({ spki: spkiOf(other.publicKey) })), signature, "signed by another key");
  assert.equal(code(handMade({ signature: derBitString(Buffer.alloc(0)) })), signature);
  assert.equal(code(handMade({ hash: "sha384" })), signature, "hash and algorithm differ");
  const algorithm = "certificationRequest.signatureAlgorithm";
  assert.equal(code(withRsa("1.2.840.113549.1.1.5", "sha1")), algorithm, "SHA-1 with RSA");
  assert.equal(code(withRsa("1.2.840.113549.1.1.4", "md5")), algorithm, "MD5 with RSA");
  assert.equal(
    code(handMade({ algorithm: identifier("1.2.840.10045.4.1"), hash: "sha1" })),
    algorithm,
    "SHA-1 with ECDSA",
  );
  assert.equal(code(handMade({ algorithm: identifier("1.3.101.112") })), algorithm, "Ed25519 over P-256");
  assert.equal(
    code(handMade({ algorithm: identifier("1.2.840.10045.4.3.2", derNull()) })),
    algorithm,
    "ECDSA with parameters",
  );
  const salt = openssl("rsa:2048", "-sha256", ...PSS, "rsa_pss_saltlen:20");
  assert.equal(code(salt), algorithm, "PSS with another salt");
});

test("a flipped bit anywhere never passes", () => {
  const der = parseCertificationRequest(openssl("ed25519")).der;
  fc.assert(
    fc.property(fc.nat(der.length * 8 - 1), (bit) => {
      const bytes = Buffer.from(der);
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.throws(
        () => verifyCertificationRequest(parseCertificationRequest(encodePem("CERTIFICATE REQUEST", bytes))),
        { name: "LanyardError", httpStatus: 422 },
      );
    }),
  );
});

test("anything at all is read or refused, never anything else", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.uint8Array({ maxLength: 400 })), (input) => {
      const pem = typeof input === "string" ? input : encodePem("CERTIFICATE REQUEST", input);
      assert.throws(() => parseCertificationRequest(pem), { name: "LanyardError", httpStatus: 422 });
    }),
  );
});

// Characters that PrintableString knows, ones that it does not, and ones of several bytes.
const name = fc.string({
  minLength: 1,
  maxLength: 30,
  unit: fc.constantFrom(...Array.from("abzAZ019 '()+,-./:=?*&@_#\\\"<>;é中"), "😀"),
});

test("a request that is made here names exactly its user, in Go's eyes and in ours", async () => {
  await fc.assert(
    fc.asyncProperty(name, fc.array(name, { maxLength: 5 }), async (username, groups) => {
      const keyPair = generateP256KeyPair();
      const made = createCertificationRequest({ username, groups, keyPair });
      assert.ok(made.subject.equals(encodeClientSubject(username, groups)));
      const request = parseCertificationRequest(made.pem);
      verifyCertificationRequest(request);
      assert.ok(request.publicKeyInfo.equals(keyPair.spki));
      const go = await oracleCertificationRequest(made.pem);
      assert.equal(go.signatureError, undefined);
      assert.equal(go.commonName, username);
      assert.deepEqual((go.organizations ?? []).toSorted(), groups.toSorted());
      assert.equal(go.subjectHex, made.subject.toString("hex"));
      const rewritten = createCertificationRequest({
        username,
        groups,
        keyPair,
        encodeSubject: encodeRewrittenClientSubject,
      });
      const again = await oracleCertificationRequest(rewritten.pem);
      assert.equal(again.commonName, username);
      assert.equal(again.rewrittenHex, rewritten.subject.toString("hex"), "S6: comes back byte for byte");
    }),
    { numRuns: 40 },
  );
});

test("names that no certificate can hold are refused", () => {
  const keyPair = generateP256KeyPair();
  for (const [username, groups] of [
    ["", []],
    ["a", [""]],
    ["a\n", []],
    ["a", ["\u0000"]],
    ["\ud800", []],
  ] as const) {
    assert.throws(() => createCertificationRequest({ username, groups, keyPair }), { httpStatus: 422 });
  }
});
