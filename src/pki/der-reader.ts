import { LanyardError } from "../errors.ts";
import { derTag } from "./der.ts";

/** One element of a DER document; all views share the document's memory. */
export interface DerElement {
  /** Identifier octet. */
  readonly tag: number;
  /** Contents octets. */
  readonly content: Buffer;
  /** Identifier, length and contents. */
  readonly raw: Buffer;
}

/** Refusal of bytes that are not strict DER of the expected shape: code `der.malformed`, status 400. */
export function malformedDer(what: string): LanyardError {
  return new LanyardError({ code: "der.malformed", message: `malformed DER: ${what}`, httpStatus: 400 });
}

/** The one element that `bytes` is; anything behind it is refused. */
export function readDer(bytes: Uint8Array): DerElement {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const element = elementAt(buffer, 0);
  if (element.raw.length !== buffer.length) {
    throw malformedDer("trailing bytes");
  }
  return element;
}

/** The elements inside a constructed element, in order. */
export function derChildren(element: DerElement): DerElement[] {
  if ((element.tag & 0x20) === 0) {
    throw malformedDer("a primitive element has no children");
  }
  const children: DerElement[] = [];
  for (let offset = 0; offset < element.content.length;) {
    const child = elementAt(element.content, offset);
    children.push(child);
    offset += child.raw.length;
  }
  return children;
}

/** Where one element is; for readers that look at many elements and keep none: a view of each costs more than finding it. */
export interface DerSpan {
  /** Identifier octet. */
  readonly tag: number;
  /** Of the contents octets. */
  readonly start: number;
  /** Behind the last contents octet. */
  readonly end: number;
}

/** The element that begins at `offset` and ends at `limit` at the latest. */
export function derSpanAt(buffer: Buffer, offset: number, limit: number): DerSpan {
  if (offset + 2 > limit) {
    throw malformedDer("truncated");
  }
  const tag = buffer[offset] ?? 0;
  const first = buffer[offset + 1] ?? 0;
  if ((tag & 0x1f) === 0x1f) {
    throw malformedDer("tag numbers above 30 are not used here");
  }
  let start = offset + 2;
  let length = first;
  if (first >= 0x80) {
    const size = first & 0x7f;
    if (size === 0 || size > 4) {
      throw malformedDer("indefinite or oversized length");
    }
    if (start + size > limit) {
      throw malformedDer("truncated");
    }
    length = buffer.readUIntBE(start, size);
    if (length < 0x80 || (size > 1 && length < 2 ** (8 * (size - 1)))) {
      throw malformedDer("length is not the shortest form");
    }
    start += size;
  }
  const end = start + length;
  if (end > limit) {
    throw malformedDer("truncated");
  }
  return { tag, start, end };
}

function elementAt(buffer: Buffer, offset: number): DerElement {
  const { tag, start, end } = derSpanAt(buffer, offset, buffer.length);
  return { tag, content: buffer.subarray(start, end), raw: buffer.subarray(offset, end) };
}

/** `element` if it is there with this tag; else a refusal that names `what`. */
export function expectDer(element: DerElement | undefined, tag: number, what: string): DerElement {
  if (element?.tag !== tag) {
    throw malformedDer(`expected ${what}`);
  }
  return element;
}

/** The magnitude of a non-negative INTEGER, big-endian without a leading zero octet (a zero is one zero octet). */
export function readDerUnsigned(element: DerElement | undefined, what: string): Buffer {
  const { content } = expectDer(element, derTag.integer, what);
  const [first, second] = content;
  if (first === undefined || first >= 0x80 || (first === 0 && second !== undefined && second < 0x80)) {
    throw malformedDer(`${what} is not a minimal non-negative integer`);
  }
  return first === 0 && content.length > 1 ? content.subarray(1) : content;
}

export function readDerBoolean(element: DerElement, what: string): boolean {
  const { content } = expectDer(element, derTag.boolean, what);
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff)) {
    throw malformedDer(`${what} is not a DER boolean`);
  }
  return content[0] === 0xff;
}

/** The octets of a BIT STRING and how many bits of the last one do not count. */
export function readDerBitString(
  element: DerElement | undefined,
  what: string,
): { readonly bytes: Buffer; readonly unusedBits: number } {
  const { content } = expectDer(element, derTag.bitString, what);
  const unusedBits = content[0];
  const last = content.length > 1 ? (content.at(-1) ?? 0) : undefined;
  if (
    unusedBits === undefined ||
    unusedBits > 7 ||
    (unusedBits > 0 && (last === undefined || (last & ((1 << unusedBits) - 1)) !== 0))
  ) {
    throw malformedDer(`${what} is not a DER bit string`);
  }
  return { bytes: content.subarray(1), unusedBits };
}

/** Dotted form of an OBJECT IDENTIFIER. */
export function readDerObjectIdentifier(element: DerElement | undefined, what: string): string {
  const { content } = expectDer(element, derTag.objectIdentifier, what);
  if (content.length === 0 || (content.at(-1) ?? 0) >= 0x80) {
    throw malformedDer(`${what} is not an object identifier`);
  }
  const values: bigint[] = [];
  let value = 0n;
  let fresh = true;
  for (const octet of content) {
    if (fresh && octet === 0x80) {
      throw malformedDer(`${what} is not a minimal object identifier`);
    }
    value = (value << 7n) | BigInt(octet & 0x7f);
    fresh = octet < 0x80;
    if (fresh) {
      values.push(value);
      value = 0n;
    }
  }
  const [head = 0n, ...rest] = values;
  const first = head < 40n ? 0n : head < 80n ? 1n : 2n;
  return [first, head - first * 40n, ...rest].join(".");
}

/** UTCTime (1950 to 2049) or GeneralizedTime, both with seconds and `Z` only (RFC 5280 section 4.1.2.5). */
export function readDerTime(element: DerElement | undefined, what: string): Date {
  const text = element?.content.toString("latin1") ?? "";
  let match: RegExpExecArray | null = null;
  let year = 0;
  if (element?.tag === derTag.utcTime) {
    match = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
    const twoDigits = Number(match?.[1]);
    year = twoDigits < 50 ? 2000 + twoDigits : 1900 + twoDigits;
  } else if (element?.tag === derTag.generalizedTime) {
    match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(text);
    year = Number(match?.[1]);
  }
  if (match === null) {
    throw malformedDer(`${what} is not a time`);
  }
  const [month = 0, day = 0, hour = 0, minute = 0, second = 0] = match.slice(2).map(Number);
  const time = new Date(0);
  time.setUTCFullYear(year, month - 1, day);
  time.setUTCHours(hour, minute, second, 0);
  if (
    time.getUTCFullYear() !== year ||
    time.getUTCMonth() !== month - 1 ||
    time.getUTCDate() !== day ||
    time.getUTCHours() !== hour ||
    time.getUTCMinutes() !== minute ||
    time.getUTCSeconds() !== second
  ) {
    throw malformedDer(`${what} is not a time`);
  }
  return time;
}
