import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import * as fc from "fast-check";
import { runOracle } from "../../test/oracle/oracle.ts";
import {
  contextTag,
  derBitString,
  derBoolean,
  derContext,
  derContextPrimitive,
  derElement,
  derInteger,
  derNull,
  derObjectIdentifier,
  derOctetString,
  derSequence,
  derSetOf,
  derTag,
  derTime,
  derUtf8String,
} from "./der.ts";
import {
  derChildren,
  readDer,
  readDerBitString,
  readDerBoolean,
  readDerObjectIdentifier,
  readDerTime,
  readDerUnsigned,
} from "./der-reader.ts";

const bytes = fc.uint8Array({ maxLength: 300 });
const oid = fc
  .tuple(
    fc.integer({ min: 0, max: 2 }),
    fc.integer({ min: 0, max: 39 }),
    fc.array(fc.integer({ min: 0, max: 0x7fffffff }), { maxLength: 8 }),
  )
  .map(([first, second, rest]) => [first, second, ...rest].join("."));
const time = fc
  .date({ min: new Date("1900-01-01T00:00:00Z"), max: new Date("9999-12-31T23:59:59Z"), noInvalidDate: true })
  .map((date) => new Date(Math.floor(date.getTime() / 1000) * 1000));

test("every type survives its own reader", () => {
  fc.assert(
    fc.property(
      bytes,
      oid,
      time,
      fc.boolean(),
      fc.nat(),
      fc.string({ unit: "grapheme" }),
      (raw, id, date, flag, n, text) => {
        assert.deepEqual(readDer(derOctetString(raw)).content, Buffer.from(raw));
        assert.deepEqual(readDerBitString(readDer(derBitString(raw)), "x"), {
          bytes: Buffer.from(raw),
          unusedBits: 0,
        });
        assert.equal(readDerObjectIdentifier(readDer(derObjectIdentifier(id)), "x"), id);
        assert.deepEqual(readDerTime(readDer(derTime(date)), "x"), date);
        assert.equal(readDerBoolean(readDer(derBoolean(flag)), "x"), flag);
        assert.equal(Number(`0x${readDerUnsigned(readDer(derInteger(n)), "x").toString("hex")}`), n);
        assert.equal(readDer(derUtf8String(text)).content.toString(), text);
        assert.equal(
          BigInt(`0x0${readDerUnsigned(readDer(derInteger(raw)), "x").toString("hex")}`),
          BigInt(`0x0${Buffer.from(raw).toString("hex")}`),
        );
      },
    ),
  );
});

test("lengths of every size are the shortest form", () => {
  for (const length of [0, 1, 127, 128, 255, 256, 65_535, 65_536, 16_777_216]) {
    const element = derOctetString(new Uint8Array(length));
    assert.equal(readDer(element).content.length, length);
    const header = length < 128 ? 2 : length < 256 ? 3 : length < 65_536 ? 4 : length < 16_777_216 ? 5 : 6;
    assert.equal(element.length, header + length);
  }
});

test("a set is sorted by bytes and keeps equal elements; a sequence keeps its order", () => {
  const members = ["b", "a", "ab", "b"].map((text) => derUtf8String(text));
  const read = (element: Buffer): string[] =>
    derChildren(readDer(element)).map(({ content }) => content.toString());
  assert.deepEqual(read(derSetOf(members)), ["a", "b", "b", "ab"]);
  assert.deepEqual(read(derSequence(...members)), ["b", "a", "ab", "b"]);
});

test("integers are minimal and never negative", () => {
  const cases: readonly (readonly [number | Buffer, string])[] = [
    [0, "020100"],
    [127, "02017f"],
    [128, "02020080"],
    [256, "02020100"],
    [Buffer.alloc(0), "020100"],
    [Buffer.from("0000ff", "hex"), "020200ff"],
  ];
  for (const [value, hex] of cases) {
    assert.equal(derInteger(value).toString("hex"), hex);
  }
});

test("context tags", () => {
  assert.equal(derContext(3, derNull()).toString("hex"), "a3020500");
  assert.equal(derContextPrimitive(0, Buffer.from("01", "hex")).toString("hex"), "800101");
  assert.equal(contextTag(30, true), 0xbe);
  assert.throws(() => contextTag(31, true), TypeError);
});

test("the two time forms meet at 1950 and 2050", () => {
  const tagOf = (text: string): number => readDer(derTime(new Date(text))).tag;
  assert.equal(tagOf("1949-12-31T23:59:59Z"), derTag.generalizedTime);
  assert.equal(tagOf("1950-01-01T00:00:00Z"), derTag.utcTime);
  assert.equal(tagOf("2049-12-31T23:59:59Z"), derTag.utcTime);
  assert.equal(tagOf("2050-01-01T00:00:00Z"), derTag.generalizedTime);
  assert.equal(readDer(derTime(new Date("2126-03-04T05:06:07.9Z"))).content.toString(), "21260304050607Z");
});

test("the reader refuses what is not strict DER", () => {
  for (const hex of [
    "",
    "04",
    "0402ff",
    "048101ff",
    "04820001ff",
    "0480",
    "0485000000000100",
    "04000500",
    "1f8101",
    "0484ffffffff00",
  ]) {
    assert.throws(() => readDer(Buffer.from(hex, "hex")), { code: "der.malformed" }, hex);
  }
  const refusals: readonly [string, (element: ReturnType<typeof readDer>) => unknown][] = [
    ["0101ab", (element) => readDerBoolean(element, "x")],
    ["0200", (element) => readDerUnsigned(element, "x")],
    ["0201ff", (element) => readDerUnsigned(element, "x")],
    ["02020001", (element) => readDerUnsigned(element, "x")],
    ["0300", (element) => readDerBitString(element, "x")],
    ["030108", (element) => readDerBitString(element, "x")],
    ["030207ff", (element) => readDerBitString(element, "x")],
    ["0600", (element) => readDerObjectIdentifier(element, "x")],
    ["06022a80", (element) => readDerObjectIdentifier(element, "x")],
    ["06032a8001", (element) => readDerObjectIdentifier(element, "x")],
    ["170d3236303233303030303030305a", (element) => readDerTime(element, "x")],
    ["170b323630323238303030305a", (element) => readDerTime(element, "x")],
    ["0400", (element) => derChildren(element)],
  ];
  for (const [hex, read] of refusals) {
    assert.throws(() => read(readDer(Buffer.from(hex, "hex"))), { code: "der.malformed" }, hex);
  }
});

test("hostile bytes are read or refused, never a crash", () => {
  const walk = (raw: Buffer): void => {
    const element = readDer(raw);
    if ((element.tag & 0x20) !== 0) {
      derChildren(element).forEach((child) => walk(child.raw));
    }
  };
  const document = derSequence(derInteger(5), derSetOf([derUtf8String("a")]), derTime(new Date(0)));
  fc.assert(
    fc.property(fc.nat(document.length - 1), fc.nat(255), fc.nat(document.length), (position, value, cut) => {
      const mutated = Buffer.from(document);
      mutated[position] = value;
      try {
        walk(mutated.subarray(0, cut));
      } catch (error) {
        assert.equal((error as { code?: string }).code, "der.malformed");
      }
    }),
  );
});

test("mistakes of the programmer are TypeErrors", () => {
  assert.throws(() => derInteger(-1), TypeError);
  assert.throws(() => derInteger(1.5), TypeError);
  assert.throws(() => derUtf8String("\ud800"), TypeError);
  assert.throws(() => derBitString(Buffer.from([1]), 1), TypeError);
  assert.throws(() => derBitString(Buffer.alloc(0), 1), TypeError);
  for (const dotted of ["", "1", "3.1", "1.40", "1.2.x", "1..2", "1.02"]) {
    assert.throws(() => derObjectIdentifier(dotted), TypeError, dotted);
  }
});

test("Go reads the same values and writes the same bytes", async () => {
  const cases = fc.sample(
    fc.tuple(bytes, oid, time, fc.nat(), fc.string({ unit: "binary" }), fc.array(bytes, { maxLength: 6 })),
    40,
  );
  const expected: { readonly element: Buffer; readonly value?: string }[] = cases.flatMap(
    ([raw, id, date, number, text, members]) => [
      { element: derOctetString(raw), value: Buffer.from(raw).toString("hex") },
      { element: derBitString(raw), value: Buffer.from(raw).toString("hex") },
      { element: derObjectIdentifier(id), value: id },
      { element: derTime(date), value: date.toISOString().replace(".000Z", "Z") },
      { element: derInteger(number), value: String(number) },
      { element: derInteger(raw), value: BigInt(`0x0${Buffer.from(raw).toString("hex")}`).toString() },
      { element: derUtf8String(text), value: text },
      { element: derSetOf(members.map((member) => derOctetString(member))), value: String(members.length) },
      { element: derSequence(derBoolean(true), derNull(), derOctetString(raw)) },
    ],
  );
  const answers = (await runOracle(
    ["der"],
    JSON.stringify(expected.map(({ element }) => element.toString("hex"))),
  )) as { readonly error?: string; readonly value: string; readonly again: string }[];
  for (const [index, { element, value }] of expected.entries()) {
    const answer = answers[index];
    assert.equal(answer?.error, undefined, element.toString("hex"));
    assert.equal(answer?.again, element.toString("hex"));
    if (value !== undefined) {
      assert.equal(answer?.value, value);
    }
  }
});

test("openssl asn1parse accepts every type", () => {
  const document = derSequence(
    derInteger(Buffer.from("ff00", "hex")),
    derBoolean(true),
    derObjectIdentifier("2.5.4.3"),
    derUtf8String("é中😀"),
    derSetOf([derElement(derTag.printableString, Buffer.from("x"))]),
    derTime(new Date("2026-11-22T00:00:00Z")),
    derTime(new Date("2126-11-22T00:00:00Z")),
    derContext(0, derBitString(Buffer.alloc(70_000))),
  );
  const text = execFileSync("openssl", ["asn1parse", "-inform", "DER"], {
    input: document,
    stdio: ["pipe", "pipe", "pipe"],
  }).toString();
  for (const part of ["FF00", "commonName", "261122000000Z", "21261122000000Z", "cont [ 0 ]", "BIT STRING"]) {
    assert.ok(text.includes(part), part);
  }
});
