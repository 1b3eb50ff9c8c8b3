import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import type { KeyObject } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { oracleCertificate } from "../../test/oracle/oracle.ts";
import {
  createCertificateVerifier,
  verifyClientCertificate,
  verifyFrontProxyCertificate,
} from "./certificate-verification.ts";
import { fingerprintHex, parseCertificate, parseCertificateBundle, subjectOf } from "./certificate.ts";
import type { Certificate } from "./certificate.ts";
import * as der from "./der.ts";
import { encodeClientSubject, readSubject } from "./distinguished-name.ts";
import { encodePem } from "./pem.ts";

const now = Date.UTC(2026, 10, 22);
const HOUR = 3_600_000;
const clientAuth = "1.3.6.1.5.5.7.3.2";
const serverAuth = "1.3.6.1.5.5.7.3.1";
const any = "2.5.29.37.0";

interface Made {
  readonly certificate: Certificate;
  readonly subject: Buffer;
  readonly key: KeyObject;
}

interface Wish {
  readonly subject?: Buffer;
  readonly issuer?: Made;
  readonly signWith?: Made;
  readonly ca?: boolean;
  readonly pathLength?: number;
  readonly usages?: readonly string[];
  readonly keyUsage?: number;
  readonly begins?: number;
  readonly ends?: number;
  /** Shares the key of another certificate. */
  readonly keyOf?: Made;
  readonly extra?: readonly Buffer[];
  readonly hash?: "sha256" | "sha1";
}

let serial = 1;

const extension = (id: string, value: Buffer, critical = false): Buffer =>
  der.derSequence(
    der.derObjectIdentifier(id),
    ...(critical ? [der.derBoolean(true)] : []),
    der.derOctetString(value),
  );

/** Any certificate, right or wrong: our own issuers make only right ones. */
function make(name: string, wish: Wish = {}): Made {
  const privateKey = wish.keyOf?.key ?? generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const publicKey = createPublicKey(privateKey);
  const subject = wish.subject ?? encodeClientSubject(name, []);
  const algorithm = der.derSequence(
    der.derObjectIdentifier(wish.hash === "sha1" ? "1.2.840.10045.4.1" : "1.2.840.10045.4.3.2"),
  );
  const extensions: Buffer[] = [...(wish.extra ?? [])];
  if (wish.ca !== undefined) {
    const limit = wish.pathLength === undefined ? [] : [der.derInteger(wish.pathLength)];
    extensions.push(
      extension("2.5.29.19", der.derSequence(...(wish.ca ? [der.derBoolean(true), ...limit] : [])), true),
    );
  }
  if (wish.keyUsage !== undefined) {
    extensions.push(extension("2.5.29.15", der.derBitString(Buffer.from([wish.keyUsage])), true));
  }
  if (wish.usages !== undefined) {
    extensions.push(
      extension("2.5.29.37", der.derSequence(...wish.usages.map((id) => der.derObjectIdentifier(id)))),
    );
  }
  const content = der.derSequence(
    der.derContext(0, der.derInteger(2)),
    der.derInteger(serial++),
    algorithm,
    wish.issuer?.subject ?? subject,
    der.derSequence(
      der.derTime(new Date(wish.begins ?? now - HOUR)),
      der.derTime(new Date(wish.ends ?? now + HOUR)),
    ),
    subject,
    publicKey.export({ type: "spki", format: "der" }),
    ...(extensions.length === 0 ? [] : [der.derContext(3, der.derSequence(...extensions))]),
  );
  const signer = (wish.signWith ?? wish.issuer)?.key ?? privateKey;
  const signature = sign(wish.hash ?? "sha256", content, signer);
  const bytes = der.derSequence(content, algorithm, der.derBitString(signature));
  return { certificate: parseCertificate(bytes), subject, key: privateKey };
}

let folder: string;
let ca: Made;
let leaf: Made;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "lanyard-verify-"));
  ca = make("CA", { ca: true, keyUsage: 0x84 });
  leaf = make("user", { issuer: ca, ca: false, usages: [clientAuth] });
});
after(() => rmSync(folder, { recursive: true }));

const verify = (
  made: Made,
  bundle: readonly Made[],
  intermediates: readonly Made[] = [],
  at = now,
): unknown =>
  verifyClientCertificate({
    certificate: made.certificate.der,
    bundle: bundle.map(({ certificate }) => certificate),
    intermediates: intermediates.map(({ certificate }) => certificate),
    now: at,
  });

const refused = (
  code: string,
  made: Made,
  bundle: readonly Made[],
  intermediates?: readonly Made[],
  at?: number,
): void => {
  assert.throws(() => verify(made, bundle, intermediates, at), {
    name: "LanyardError",
    code,
    httpStatus: 401,
  });
};

test("a good certificate is accepted, with the time for which the chain holds", () => {
  const short = make("short", { issuer: ca, usages: [clientAuth], ends: now + 1000 });
  const verified = verifyClientCertificate({ certificate: short.certificate, bundle: [ca.certificate], now });
  assert.deepEqual(verified.chain, [short.certificate, ca.certificate]);
  assert.equal(verified.notAfter.getTime(), now + 1000);
  assert.equal(verified.notBefore.getTime(), now - HOUR);
});

test("an empty bundle refuses everything", () => refused("certificate.unknownAuthority", leaf, []));

test("another CA, and another CA of the same name, are refused", () => {
  refused("certificate.unknownAuthority", leaf, [make("Other", { ca: true })]);
  refused("certificate.badSignature", leaf, [make("CA", { ca: true })]);
  verify(leaf, [make("CA", { ca: true }), ca]);
});

test("time is checked for the leaf and for its CA, second by second", () => {
  verify(leaf, [ca], [], now - HOUR);
  verify(leaf, [ca], [], now + HOUR);
  refused("certificate.notYetValid", leaf, [ca], [], now - HOUR - 1);
  refused("certificate.expired", leaf, [ca], [], now + HOUR + 1);
  const old = make("Old", { ca: true, ends: now - 1000 });
  refused("certificate.expired", make("u", { issuer: old, usages: [clientAuth] }), [old]);
});

test("the usage must be clientAuth, any or absent, in the whole chain", () => {
  verify(make("u", { issuer: ca }), [ca]);
  verify(make("u", { issuer: ca, usages: [any] }), [ca]);
  verify(make("u", { issuer: ca, usages: [serverAuth, clientAuth] }), [ca]);
  refused("certificate.wrongUsage", make("u", { issuer: ca, usages: [serverAuth] }), [ca]);
  const serverCa = make("Server CA", { ca: true, usages: [serverAuth] });
  refused("certificate.wrongUsage", make("u", { issuer: serverCa, usages: [clientAuth] }), [serverCa]);
});

test("only a CA that may sign certificates issues", () => {
  for (const wish of [{}, { ca: false }, { ca: true, keyUsage: 0x80 }]) {
    const noCa = make("No CA", wish);
    refused("certificate.unknownAuthority", make("u", { issuer: noCa, usages: [clientAuth] }), [noCa]);
  }
  // A user's certificate must not make users.
  refused(
    "certificate.unknownAuthority",
    make("admin", { issuer: leaf, usages: [clientAuth] }),
    [ca],
    [leaf],
  );
});

test("intermediates count as far as they are signed, and path lengths hold", () => {
  const middle = make("Middle", { issuer: ca, ca: true });
  const user = make("u", { issuer: middle, usages: [clientAuth] });
  verify(user, [ca], [middle]);
  refused("certificate.unknownAuthority", user, [ca]);
  refused("certificate.badSignature", user, [ca], [make("Middle", { issuer: ca, signWith: leaf, ca: true })]);
  const short = make("Short", { ca: true, pathLength: 0 });
  const below = make("Below", { issuer: short, ca: true });
  refused("certificate.unknownAuthority", make("u", { issuer: below }), [short], [below]);
  verify(make("u", { issuer: short }), [short]);
});

test("loops and swarms of namesakes end", () => {
  const a = make("A", { ca: true });
  const swarm = Array.from({ length: 60 }, () => make("A", { ca: true, issuer: a, keyOf: a }));
  const user = make("u", { issuer: a });
  // All carry one name and one key, so that every order of them is a chain.
  const started = process.hrtime.bigint();
  assert.throws(() => verify(user, [ca], swarm), { name: "LanyardError" });
  assert.ok(process.hrtime.bigint() - started < 1_000_000_000n);
});

test("SHA-1, unknown critical extensions, and name constraints that would have to be applied are refused", () => {
  refused("certificate.unsupported", make("u", { issuer: ca, hash: "sha1" }), [ca]);
  const strange = extension("1.2.3.4", Buffer.from("0500", "hex"), true);
  refused("certificate.unsupported", make("u", { issuer: ca, extra: [strange] }), [ca]);
  verify(make("u", { issuer: ca, extra: [extension("1.2.3.4", Buffer.from("0500", "hex"))] }), [ca]);
  const constraints = extension("2.5.29.30", Buffer.from("3000", "hex"), true);
  const constrained = make("Constrained", { ca: true, extra: [constraints] });
  verify(make("u", { issuer: constrained }), [constrained]);
  const san = extension("2.5.29.17", der.derSequence(der.derContextPrimitive(2, Buffer.from("x"))));
  refused("certificate.unsupported", make("u", { issuer: constrained, extra: [san] }), [constrained]);
});

test("bytes that are no certificate are refused, and so is anything behind one", () => {
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from("3000", "hex"),
    Buffer.concat([leaf.certificate.der, Buffer.alloc(1)]),
  ]) {
    assert.throws(() => verifyClientCertificate({ certificate: bytes, bundle: [ca.certificate], now }), {
      code: "certificate.malformed",
      httpStatus: 401,
    });
  }
});

test("a changed byte anywhere is refused", () => {
  for (let position = 0; position < leaf.certificate.der.length; position++) {
    const changed = Buffer.from(leaf.certificate.der);
    changed[position] = (changed[position] ?? 0) ^ 0x01;
    assert.throws(
      () => verifyClientCertificate({ certificate: changed, bundle: [ca.certificate], now }),
      { name: "LanyardError" },
      `byte ${position}`,
    );
  }
});

test("a front proxy needs an allowed common name, unless any is allowed", () => {
  const request = { certificate: leaf.certificate, bundle: [ca.certificate], now };
  verifyFrontProxyCertificate({ ...request, allowedNames: [] });
  verifyFrontProxyCertificate({ ...request, allowedNames: ["aggregator", "user"] });
  for (const allowedNames of [["aggregator"], ["use"], [""]]) {
    assert.throws(() => verifyFrontProxyCertificate({ ...request, allowedNames }), {
      code: "certificate.nameNotAllowed",
    });
  }
  const nameless = make("", { issuer: ca, subject: der.derSequence() });
  assert.throws(
    () => verifyFrontProxyCertificate({ ...request, certificate: nameless.certificate, allowedNames: [""] }),
    { code: "certificate.nameNotAllowed" },
  );
});

test("a remembered chain still expires, and a new bundle remembers nothing", () => {
  const certificate = make("short", { issuer: ca, ends: now + 1000 }).certificate;
  const verifier = createCertificateVerifier({ bundle: [ca.certificate], capacity: 1 });
  const first = verifier.verify({ certificate, now });
  assert.equal(verifier.verify({ certificate, now: now + 1000 }), first);
  assert.throws(() => verifier.verify({ certificate, now: now + 1001 }), { code: "certificate.expired" });
  verifier.verify({ certificate, now });
  verifier.verify({ certificate: leaf.certificate, now });
  assert.notEqual(verifier.verify({ certificate, now }), first);
  assert.throws(() => createCertificateVerifier({ bundle: [] }).verify({ certificate, now }), {
    code: "certificate.unknownAuthority",
  });
});

test("a bundle skips what is no certificate", () => {
  const pem = encodePem("CERTIFICATE", ca.certificate.der);
  const broken = encodePem("CERTIFICATE", Buffer.from("junk"));
  assert.deepEqual(
    parseCertificateBundle(`x\n${broken}${encodePem("PRIVATE KEY", Buffer.from("k"))}${pem}`).map(
      ({ sha256Hex }) => sha256Hex,
    ),
    [fingerprintHex(ca.certificate.der)],
  );
  assert.deepEqual(parseCertificateBundle(""), []);
});

const attribute = (type: string, tag: number, value: Buffer): Buffer =>
  der.derSequence(der.derObjectIdentifier(type), der.derElement(tag, value));
const CN = "2.5.4.3";
const O = "2.5.4.10";
const UID = "1.3.6.1.4.1.57683.2";
const utf8 = (type: string, text: string): Buffer =>
  attribute(type, der.derTag.utf8String, Buffer.from(text));

test("subjects are read as Go reads them", async () => {
  const names: readonly Buffer[] = [
    der.derSequence(
      der.derElement(der.derTag.set, utf8(CN, "one"), utf8(O, "a"), utf8(O, "b")),
      der.derSetOf([utf8(CN, "two")]),
    ),
    der.derSequence(der.derElement(der.derTag.set, utf8(O, "b"), utf8(O, "a")), der.derSetOf([utf8(O, "c")])),
    der.derSequence(der.derSetOf([attribute(CN, der.derTag.bmpString, Buffer.from("00e94e2d0000", "hex"))])),
    der.derSequence(der.derSetOf([attribute(CN, der.derTag.t61String, Buffer.from("e9", "hex"))])),
    der.derSequence(der.derSetOf([attribute(CN, der.derTag.printableString, Buffer.from("a*b&c"))])),
    der.derSequence(der.derSetOf([attribute(CN, der.derTag.ia5String, Buffer.from("a@b"))])),
    der.derSequence(der.derSetOf([attribute(CN, der.derTag.numericString, Buffer.from("1 2"))])),
    der.derSequence(der.derSetOf([utf8(CN, "\ufeffbom")])),
    der.derSequence(),
  ];
  for (const subject of names) {
    const { certificate } = make("", { issuer: ca, subject });
    const go = await oracleCertificate(encodePem("CERTIFICATE", certificate.der));
    const own = subjectOf(certificate);
    assert.equal(own.commonName, go.commonName);
    assert.deepEqual(own.organizations, go.organizations);
    assert.deepEqual(subjectOf(certificate.der), own);
  }
});

test("subjects that Go refuses, NUL, and strange UIDs are refused", () => {
  const cases: readonly (readonly Buffer[])[] = [
    [utf8(CN, "a\0b")],
    [utf8(O, "a\0")],
    [attribute(CN, der.derTag.utf8String, Buffer.from("ff", "hex"))],
    [attribute(CN, der.derTag.utf8String, Buffer.from("eda080", "hex"))],
    [attribute(CN, der.derTag.printableString, Buffer.from("a@b"))],
    [attribute(CN, der.derTag.ia5String, Buffer.from("80", "hex"))],
    [attribute(CN, der.derTag.numericString, Buffer.from("a"))],
    [attribute(CN, der.derTag.bmpString, Buffer.from("00", "hex"))],
    [attribute(CN, der.derTag.bmpString, Buffer.from("d83d", "hex"))],
    [attribute(CN, der.derTag.bmpString, Buffer.from("0061000000620000", "hex"))],
    [attribute(CN, der.derTag.integer, Buffer.from("01", "hex"))],
    [utf8(CN, "a"), utf8(UID, "1"), utf8(UID, "2")],
    [utf8(CN, "a"), utf8(UID, "")],
  ];
  for (const attributes of cases) {
    const name = der.derSequence(...attributes.map((one) => der.derSetOf([one])));
    assert.throws(() => readSubject(name), { code: "certificate.subject.malformed" }, name.toString("hex"));
  }
  assert.equal(readSubject(der.derSequence(der.derSetOf([utf8(UID, "42")]))).uid, "42");
});

test("Go decides the same about the same certificates", async () => {
  const file = join(folder, "bundle.pem");
  writeFileSync(file, encodePem("CERTIFICATE", ca.certificate.der));
  const cases: readonly (readonly [Made, number])[] = [
    [leaf, now],
    [leaf, now + HOUR + 1000],
    [leaf, now - HOUR - 1000],
    [make("u", { issuer: ca, usages: [serverAuth] }), now],
    [make("u", { issuer: ca, usages: [any] }), now],
    [make("u", { issuer: ca, signWith: leaf }), now],
    [make("u", { issuer: ca, hash: "sha1" }), now],
    [make("u", { issuer: leaf }), now],
  ];
  for (const [made, at] of cases) {
    const pem = encodePem("CERTIFICATE", made.certificate.der);
    const go = await oracleCertificate(pem, "-ca", file, "-at", String(at / 1000));
    let own = true;
    try {
      verify(made, [ca], [], at);
    } catch {
      own = false;
    }
    assert.equal(own, go.verifyError === "", go.verifyError ?? "");
  }
});
