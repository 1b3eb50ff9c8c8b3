import { constants, deflateRawSync, deflateSync } from "node:zlib";

import { LanyardError } from "../errors.ts";
import { spdyDictionary } from "./exec-spdy-dictionary.ts";

/** A frame as far as a client that opened all streams itself has to understand it. */
export type SpdyFrame =
  | { readonly type: "data"; readonly stream: number; readonly bytes: Buffer; readonly last: boolean }
  /** The stream was accepted; `last`: nothing will come on it. */
  | { readonly type: "reply"; readonly stream: number; readonly last: boolean }
  | { readonly type: "reset"; readonly stream: number; readonly status: number }
  | { readonly type: "ping"; readonly id: number }
  | { readonly type: "goAway" }
  /** SETTINGS, WINDOW_UPDATE and whatever else may be ignored. */
  | { readonly type: "other" };

const VERSION = 3;
const CONTROL = 0x80_00;
const SYN_STREAM = 1;
const SYN_REPLY = 2;
const RST_STREAM = 3;
const PING = 6;
const GOAWAY = 7;
const WINDOW_UPDATE = 9;
const FLAG_FIN = 1;
const HEADER_BYTES = 8;

/**
 * Encodes SYN_STREAM frames of one connection (SPDY/3.1 section 2.6.1). Header blocks share one zlib stream: the first
 * starts it, the others go on with blocks that refer to nothing before them, so that no compressor has to be kept.
 */
export function createStreamOpener(): (
  stream: number,
  headers: Readonly<Record<string, string>>,
) => Uint8Array {
  let started = false;
  return (stream, headers) => {
    const plain = headerBlock(headers);
    const options = { finishFlush: constants.Z_SYNC_FLUSH };
    const block = started
      ? deflateRawSync(plain, options)
      : deflateSync(plain, { ...options, dictionary: spdyDictionary });
    started = true;
    const body = Buffer.alloc(10);
    body.writeUInt32BE(stream, 0);
    return controlFrame(SYN_STREAM, Buffer.concat([body, block]));
  };
}

/** The same PING back (section 2.6.5). */
export function encodePing(id: number): Uint8Array {
  return controlFrame(PING, words(id));
}

/** Lets the peer send `bytes` more on `stream`, or on the connection for 0 (section 2.6.8). */
export function encodeWindowUpdate(stream: number, bytes: number): Uint8Array {
  return controlFrame(WINDOW_UPDATE, words(stream, bytes));
}

/**
 * Cuts a byte stream into frames. Refusals: `kubernetes.exec.protocol` for what is not SPDY/3 and for a frame longer than
 * `maximumFrameBytes`.
 */
export function createFrameReader(maximumFrameBytes: number): (chunk: Uint8Array) => SpdyFrame[] {
  let pending: Buffer = Buffer.alloc(0);
  return (chunk) => {
    pending = pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([pending, chunk]);
    const frames: SpdyFrame[] = [];
    while (pending.length >= HEADER_BYTES) {
      const length = pending.readUIntBE(5, 3);
      if (length > maximumFrameBytes) {
        throw protocolError(`a frame of ${length} bytes is longer than allowed`);
      }
      if (pending.length < HEADER_BYTES + length) {
        break;
      }
      const header = pending.subarray(0, HEADER_BYTES);
      frames.push(decode(header, pending.subarray(HEADER_BYTES, HEADER_BYTES + length)));
      pending = pending.subarray(HEADER_BYTES + length);
    }
    return frames;
  };
}

export function protocolError(message: string): LanyardError {
  return new LanyardError({ code: "kubernetes.exec.protocol", message });
}

function decode(header: Buffer, body: Buffer): SpdyFrame {
  const first = header.readUInt16BE(0);
  const last = (header.readUInt8(4) & FLAG_FIN) !== 0;
  if ((first & CONTROL) === 0) {
    return { type: "data", stream: header.readUInt32BE(0), bytes: body, last };
  }
  if ((first & ~CONTROL) !== VERSION) {
    throw protocolError("the peer does not speak SPDY/3");
  }
  const word = (offset: number): number => {
    if (body.length < offset + 4) {
      throw protocolError("a control frame is too short");
    }
    return body.readUInt32BE(offset) & 0x7f_ff_ff_ff;
  };
  switch (header.readUInt16BE(2)) {
    case SYN_REPLY:
      return { type: "reply", stream: word(0), last };
    case RST_STREAM:
      return { type: "reset", stream: word(0), status: word(4) };
    case PING:
      return { type: "ping", id: word(0) };
    case GOAWAY:
      return { type: "goAway" };
    default:
      return { type: "other" };
  }
}

function headerBlock(headers: Readonly<Record<string, string>>): Buffer {
  const entries = Object.entries(headers);
  const text = (value: string): Buffer[] => {
    const bytes = Buffer.from(value, "latin1");
    return [words(bytes.length), bytes];
  };
  return Buffer.concat([
    words(entries.length),
    ...entries.flatMap(([name, value]) => [...text(name.toLowerCase()), ...text(value)]),
  ]);
}

function controlFrame(type: number, body: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(CONTROL | VERSION, 0);
  header.writeUInt16BE(type, 2);
  header.writeUIntBE(body.length, 5, 3);
  return Buffer.concat([header, body]);
}

function words(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => bytes.writeUInt32BE(value, index * 4));
  return bytes;
}
