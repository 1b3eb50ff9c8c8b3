import { LanyardError } from "../../errors.ts";

/** What a response consists of, as it arrives. */
export interface ResponseSink {
  /** 1xx, but for 101. */
  informational(status: number, headers: readonly string[]): void;
  /** `headers` are name and value pairs, latin1. `length`: of the body when it is known, 0 when there is none. */
  head(status: number, headers: readonly string[], length: number | undefined): void;
  data(chunk: Buffer): void;
  end(trailers: readonly string[]): void;
}

export interface ResponseParser {
  /** Awaits the response to a request. `upgrade`: a 101 is welcome. */
  expect(request: { readonly method: string; readonly upgrade: boolean }): void;
  /** Keeps nothing of `bytes`. Throws `upstream.response.malformed`; the connection is of no use then. */
  push(bytes: Buffer): void;
  /** The connection's end; it may be the body's. Throws when it is not. */
  finish(): void;
  /** Whether no response is awaited. */
  readonly idle: boolean;
  /** Whether the connection can carry another request. */
  readonly reusable: boolean;
  /** What followed a 101, or undefined while there was none. */
  readonly tunnel: Buffer | undefined;
}

/** As the kube-apiserver's own limit for requests (H6). */
const MAXIMUM_HEAD_LENGTH = 1024 * 1024;
const MAXIMUM_CHUNK_LINE_LENGTH = 4096;
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const STATUS_LINE = /^HTTP\/1\.1 ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const BAD_VALUE = /[\x00-\x08\x0a-\x1f\x7f]/;
const CHUNK_SIZE = /^([0-9A-Fa-f]{1,12})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/;
const DIGITS = /^\d{1,15}$/;
const NO_BYTES: Buffer = Buffer.alloc(0);
const NO_HEADERS: readonly string[] = [];

function malformed(what: string): LanyardError {
  return new LanyardError({
    code: "upstream.response.malformed",
    message: `the kube-apiserver's answer is malformed: ${what}`,
    httpStatus: 502,
  });
}

type State =
  "idle" | "head" | "length" | "until-close" | "chunk-size" | "chunk" | "chunk-end" | "trailers" | "tunnel";

/**
 * A strict parser of HTTP/1.1 responses (RFC 9112): what it does not understand to the letter is an error, for two readings
 * of one answer are how one user's answer reaches another (R1). One per connection; bytes that nobody asked for make the
 * connection useless.
 */
export function createResponseParser(sink: ResponseSink): ResponseParser {
  let state: State = "idle";
  let method = "";
  let upgrade = false;
  let reusable = true;
  let remaining = 0;
  /** Of an incomplete head or line. */
  let rest = NO_BYTES;
  let tunnel: Buffer | undefined;

  const complete = (trailers: readonly string[]): void => {
    state = "idle";
    sink.end(trailers);
  };

  const readHead = (text: string): void => {
    const lineEnd = text.indexOf("\r\n");
    const line = lineEnd === -1 ? text : text.slice(0, lineEnd);
    const code = STATUS_LINE.exec(line)?.[1];
    if (code === undefined) {
      throw malformed("status line");
    }
    const status = Number(code);
    const headers = lineEnd === -1 ? [] : parseHeaderLines(text, lineEnd + 2);
    if (status < 200 && status !== 101) {
      sink.informational(status, headers);
      return;
    }
    const framing = framingOf(headers);
    if (framing.close) {
      reusable = false;
    }
    if (status === 101) {
      if (!upgrade) {
        throw malformed("101 to a request that asked for no upgrade");
      }
      state = "tunnel";
      reusable = false;
      sink.head(status, headers, 0);
      return;
    }
    if (method === "HEAD" || status === 204 || status === 304 || (framing.length === 0 && !framing.chunked)) {
      sink.head(status, headers, 0);
      complete(NO_HEADERS);
      return;
    }
    if (framing.chunked) {
      state = "chunk-size";
    } else if (framing.length === undefined) {
      state = "until-close";
      reusable = false;
    } else {
      state = "length";
      remaining = framing.length;
    }
    sink.head(status, headers, framing.length);
  };

  /** The bytes up to a terminator and what follows; undefined when it is not there yet. */
  const until = (bytes: Buffer, terminator: string, limit: number): [Buffer, Buffer] | undefined => {
    // A terminator may straddle two reads; the rest is searched again only as far as it matters.
    const from = Math.max(0, rest.length - terminator.length + 1);
    const all = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    const at = all.indexOf(terminator, rest.length === 0 ? 0 : from, "latin1");
    if (at > limit || (at === -1 && all.length > limit)) {
      throw malformed("too long");
    }
    if (at === -1) {
      // `all` is of our own making only where something was kept before.
      rest = rest.length === 0 ? Buffer.from(all) : all;
      return undefined;
    }
    rest = NO_BYTES;
    return [all.subarray(0, at), all.subarray(at + terminator.length)];
  };

  /** Consumes a piece and answers what is left of the bytes; undefined when more are needed. */
  const step = (bytes: Buffer): Buffer | undefined => {
    switch (state) {
      case "idle":
        reusable = false;
        throw malformed("bytes that nobody asked for");
      case "tunnel":
        tunnel = Buffer.concat([tunnel ?? NO_BYTES, bytes]);
        return undefined;
      case "head": {
        const found = until(bytes, "\r\n\r\n", MAXIMUM_HEAD_LENGTH);
        if (found === undefined) {
          return undefined;
        }
        readHead(found[0].toString("latin1"));
        return found[1];
      }
      case "length": {
        const part = bytes.length > remaining ? bytes.subarray(0, remaining) : bytes;
        remaining -= part.length;
        sink.data(part);
        if (remaining === 0) {
          complete(NO_HEADERS);
        }
        return bytes.subarray(part.length);
      }
      case "until-close":
        sink.data(bytes);
        return undefined;
      case "chunk-size": {
        const found = until(bytes, "\r\n", MAXIMUM_CHUNK_LINE_LENGTH);
        if (found === undefined) {
          return undefined;
        }
        const size = CHUNK_SIZE.exec(found[0].toString("latin1"))?.[1];
        if (size === undefined) {
          throw malformed("chunk size");
        }
        remaining = Number.parseInt(size, 16);
        state = remaining === 0 ? "trailers" : "chunk";
        // The last chunk's line end is part of the trailers' terminator.
        return remaining === 0 ? Buffer.concat([CRLF, found[1]]) : found[1];
      }
      case "chunk": {
        const part = bytes.length > remaining ? bytes.subarray(0, remaining) : bytes;
        remaining -= part.length;
        sink.data(part);
        if (remaining === 0) {
          state = "chunk-end";
        }
        return bytes.subarray(part.length);
      }
      case "chunk-end": {
        const all = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
        if (all[0] !== 13 || (all.length > 1 && all[1] !== 10)) {
          throw malformed("end of chunk");
        }
        if (all.length < 2) {
          rest = Buffer.from(all);
          return undefined;
        }
        rest = NO_BYTES;
        state = "chunk-size";
        return all.subarray(2);
      }
      case "trailers": {
        const found = until(bytes, "\r\n\r\n", MAXIMUM_HEAD_LENGTH);
        if (found === undefined) {
          return undefined;
        }
        const text = found[0].toString("latin1");
        complete(text === "" ? NO_HEADERS : parseHeaderLines(text, 2));
        return found[1];
      }
      default:
        throw new TypeError("unreachable");
    }
  };

  return {
    expect: (request) => {
      ({ method, upgrade } = request);
      state = "head";
    },
    push: (bytes) => {
      let left: Buffer | undefined = bytes;
      while (left !== undefined && left.length > 0) {
        left = step(left);
      }
    },
    finish: () => {
      reusable = false;
      if (state === "until-close") {
        complete(NO_HEADERS);
      } else if (state !== "idle" && state !== "tunnel") {
        throw malformed("it ends too early");
      }
    },
    get idle() {
      return state === "idle";
    },
    get reusable() {
      return reusable;
    },
    get tunnel() {
      return state === "tunnel" ? (tunnel ?? NO_BYTES) : undefined;
    },
  };
}

const CRLF = Buffer.from("\r\n");

/** `text` from `from` on is header lines without the last line end. */
function parseHeaderLines(text: string, from: number): string[] {
  const headers: string[] = [];
  for (let start = from; start <= text.length;) {
    const lineEnd = text.indexOf("\r\n", start);
    const end = lineEnd === -1 ? text.length : lineEnd;
    const colon = text.indexOf(":", start);
    if (colon === -1 || colon >= end) {
      throw malformed("header line");
    }
    const name = text.slice(start, colon);
    const value = trimOptionalSpace(text, colon + 1, end);
    if (!TOKEN.test(name) || BAD_VALUE.test(value)) {
      throw malformed("header line");
    }
    headers.push(name, value);
    start = end + 2;
  }
  return headers;
}

function trimOptionalSpace(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isOptionalSpace(text.charCodeAt(start))) {
    start += 1;
  }
  while (end > start && isOptionalSpace(text.charCodeAt(end - 1))) {
    end -= 1;
  }
  return text.slice(start, end);
}

function isOptionalSpace(code: number): boolean {
  return code === 32 || code === 9;
}

interface Framing {
  readonly chunked: boolean;
  readonly length: number | undefined;
  readonly close: boolean;
}

/** RFC 9112 section 6.3, without its leniency. */
function framingOf(headers: readonly string[]): Framing {
  let chunked = false;
  let length: number | undefined;
  let close = false;
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] ?? "";
    const value = headers[index + 1] ?? "";
    // Only three names matter, and their lengths tell them from most others.
    if (name.length === 14 && name.toLowerCase() === "content-length") {
      if (length !== undefined || !DIGITS.test(value)) {
        throw malformed("content length");
      }
      length = Number(value);
    } else if (name.length === 17 && name.toLowerCase() === "transfer-encoding") {
      if (chunked || value.toLowerCase() !== "chunked") {
        throw malformed("transfer encoding");
      }
      chunked = true;
    } else if (name.length === 10 && name.toLowerCase() === "connection") {
      close ||= value
        .toLowerCase()
        .split(",")
        .some((option) => option.trim() === "close");
    }
  }
  if (chunked && length !== undefined) {
    throw malformed("both a content length and a transfer encoding");
  }
  return { chunked, length, close };
}
