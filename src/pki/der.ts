/** ASN.1 tags of DER (X.690 section 8), as identifier octets. */
export const derTag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  numericString: 0x12,
  printableString: 0x13,
  t61String: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

const NULL_ELEMENT = Buffer.from([derTag.null, 0]);

function lengthSize(length: number): number {
  if (length < 0x80) {
    return 1;
  }
  if (length < 0x100) {
    return 2;
  }
  return length < 0x10000 ? 3 : length < 0x1000000 ? 4 : 5;
}

/**
 * One DER element: identifier octet, shortest definite length, then the contents one after another (X.690 section 10.1).
 * Contents are at most 2^32 - 1 bytes.
 */
export function derElement(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  let length = 0;
  for (const content of contents) {
    length += content.length;
  }
  const size = lengthSize(length);
  const element = Buffer.allocUnsafe(1 + size + length);
  element[0] = tag;
  if (size === 1) {
    element[1] = length;
  } else {
    element[1] = 0x80 | (size - 1);
    element.writeUIntBE(length, 2, size - 1);
  }
  let offset = 1 + size;
  for (const content of contents) {
    element.set(content, offset);
    offset += content.length;
  }
  return element;
}

export function derSequence(...elements: readonly Uint8Array[]): Buffer {
  return derElement(derTag.sequence, ...elements);
}

/** SET OF: the encoded elements in ascending order of their bytes (X.690 section 11.6). Equal elements all stay. */
export function derSetOf(elements: readonly Uint8Array[]): Buffer {
  // An element's length octets precede its contents, so plain byte order equals the zero-padded order of X.690.
  const sorted = elements.length < 2 ? elements : elements.toSorted((a, b) => Buffer.compare(a, b));
  return derElement(derTag.set, ...sorted);
}

export function derBoolean(value: boolean): Buffer {
  return Buffer.from([derTag.boolean, 1, value ? 0xff : 0]);
}

export function derNull(): Buffer {
  return NULL_ELEMENT;
}

/** A non-negative INTEGER from its big-endian magnitude (leading zeros are dropped) or from a safe integer. */
export function derInteger(value: number | Uint8Array): Buffer {
  let magnitude: Uint8Array;
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new TypeError("a DER integer here is a non-negative safe integer");
    }
    const hex = value.toString(16);
    magnitude = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
  } else {
    magnitude = value;
  }
  let start = 0;
  while (start < magnitude.length && magnitude[start] === 0) {
    start++;
  }
  const significant = magnitude.subarray(start);
  const first = significant[0];
  // Two's complement: a set top bit would read as negative.
  return first === undefined || first >= 0x80
    ? derElement(derTag.integer, Buffer.alloc(1), significant)
    : derElement(derTag.integer, significant);
}

/** BIT STRING of whole octets, or with the last `unusedBits` bits of the last octet left out. */
export function derBitString(value: Uint8Array, unusedBits = 0): Buffer {
  if (
    !Number.isInteger(unusedBits) ||
    unusedBits < 0 ||
    unusedBits > 7 ||
    (unusedBits > 0 && value.length === 0)
  ) {
    throw new TypeError("a bit string has 0 to 7 unused bits, and none when it is empty");
  }
  if (unusedBits > 0 && ((value[value.length - 1] ?? 0) & ((1 << unusedBits) - 1)) !== 0) {
    throw new TypeError("the unused bits of a DER bit string are zero");
  }
  return derElement(derTag.bitString, Buffer.from([unusedBits]), value);
}

export function derOctetString(value: Uint8Array): Buffer {
  return derElement(derTag.octetString, value);
}

/** UTF8String from text (which must be well-formed Unicode) or from bytes that are UTF-8 already. */
export function derUtf8String(value: string | Uint8Array): Buffer {
  if (typeof value === "string") {
    if (!value.isWellFormed()) {
      throw new TypeError("a UTF8String is well-formed Unicode");
    }
    return derElement(derTag.utf8String, Buffer.from(value, "utf8"));
  }
  return derElement(derTag.utf8String, value);
}

/** OBJECT IDENTIFIER from its dotted form (X.690 section 8.19). */
export function derObjectIdentifier(dotted: string): Buffer {
  const arcs = dotted.split(".").map((arc) => {
    if (!/^(0|[1-9]\d*)$/.test(arc)) {
      throw new TypeError(`not an object identifier: ${dotted}`);
    }
    return BigInt(arc);
  });
  const [first, second, ...rest] = arcs;
  if (first === undefined || second === undefined || first > 2n || (first < 2n && second > 39n)) {
    throw new TypeError(`not an object identifier: ${dotted}`);
  }
  const bytes: number[] = [];
  for (const arc of [first * 40n + second, ...rest]) {
    const septets = [Number(arc & 0x7fn)];
    for (let left = arc >> 7n; left > 0n; left >>= 7n) {
      septets.unshift(Number(left & 0x7fn) | 0x80);
    }
    bytes.push(...septets);
  }
  return derElement(derTag.objectIdentifier, Uint8Array.from(bytes));
}

/** `Time` of RFC 5280 section 4.1.2.5, whole seconds: UTCTime for the years 1950 to 2049, else GeneralizedTime. */
export function derTime(time: Date): Buffer {
  const second = Math.floor(time.getTime() / 1000);
  let encoded = encodedTimes.get(second);
  if (encoded === undefined) {
    encoded = encodeTime(time);
    if (encodedTimes.size >= MAXIMUM_ENCODED_TIMES) {
      encodedTimes.clear();
    }
    encodedTimes.set(second, encoded);
  }
  return encoded;
}

/** The last results: within a second all certificates have the same times. Nobody writes into an encoded element. */
const encodedTimes = new Map<number, Buffer>();
const MAXIMUM_ENCODED_TIMES = 16;

function encodeTime(time: Date): Buffer {
  const milliseconds = time.getTime();
  const year = time.getUTCFullYear();
  if (Number.isNaN(milliseconds) || year < 0 || year > 9999) {
    throw new TypeError("a certificate's time lies between the years 0 and 9999");
  }
  const two = (value: number): string => String(value).padStart(2, "0");
  const rest = `${two(time.getUTCMonth() + 1)}${two(time.getUTCDate())}${two(time.getUTCHours())}${two(time.getUTCMinutes())}${two(time.getUTCSeconds())}Z`;
  return year >= 1950 && year <= 2049
    ? derElement(derTag.utcTime, Buffer.from(`${two(year % 100)}${rest}`, "latin1"))
    : derElement(derTag.generalizedTime, Buffer.from(`${String(year).padStart(4, "0")}${rest}`, "latin1"));
}

/** Explicit or constructed context tag `[number]` around encoded elements. */
export function derContext(number: number, ...elements: readonly Uint8Array[]): Buffer {
  return derElement(contextTag(number, true), ...elements);
}

/** Implicit primitive context tag `[number]` with raw contents. */
export function derContextPrimitive(number: number, content: Uint8Array): Buffer {
  return derElement(contextTag(number, false), content);
}

/** The identifier octet of context tag `[number]`, 0 to 30. */
export function contextTag(number: number, constructed: boolean): number {
  if (!Number.isInteger(number) || number < 0 || number > 30) {
    throw new TypeError("context tags here are 0 to 30");
  }
  return (constructed ? 0xa0 : 0x80) | number;
}
