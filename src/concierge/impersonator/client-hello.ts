const HANDSHAKE_RECORD = 22;
const CLIENT_HELLO = 1;
const SUPPORTED_VERSIONS = 43;
const TLS13 = 0x0304;
const RECORD_HEADER_LENGTH = 5;

/** No honest ClientHello is longer, post-quantum key shares and long ALPN lists included. */
export const MAXIMUM_CLIENT_HELLO_LENGTH = 64 * 1024;

/** What a client offers before anything is agreed upon. */
export interface ClientHello {
  readonly offersTls13: boolean;
  /** IANA numbers of the suites, in the client's order. */
  readonly suites: readonly number[];
}

/**
 * Reads the ClientHello at the start of a connection (RFC 8446 sections 4.1.2 and 5.1), which may stretch over several
 * records. `incomplete`: more bytes are needed; `malformed`: it is none, and OpenSSL finds the right alert for it.
 */
export function readClientHello(bytes: Buffer): ClientHello | "incomplete" | "malformed" {
  const handshake = handshakeBytes(bytes);
  if (typeof handshake === "string") {
    return handshake;
  }
  try {
    return parseClientHello(handshake);
  } catch {
    return "malformed";
  }
}

/** The first handshake message without its records. */
function handshakeBytes(bytes: Buffer): Buffer | "incomplete" | "malformed" {
  const parts: Buffer[] = [];
  let have = 0;
  let offset = 0;
  for (;;) {
    if (bytes.length < offset + RECORD_HEADER_LENGTH) {
      return bytes.length > 0 && bytes[0] !== HANDSHAKE_RECORD ? "malformed" : "incomplete";
    }
    const length = bytes.readUInt16BE(offset + 3);
    if (bytes[offset] !== HANDSHAKE_RECORD || length === 0) {
      return "malformed";
    }
    const start = offset + RECORD_HEADER_LENGTH;
    const part = bytes.subarray(start, start + length);
    parts.push(part);
    have += part.length;
    const message = parts.length === 1 ? part : Buffer.concat(parts);
    if (message.length > 0 && message[0] !== CLIENT_HELLO) {
      return "malformed";
    }
    if (message.length >= 4) {
      const wanted = 4 + message.readUIntBE(1, 3);
      if (wanted > MAXIMUM_CLIENT_HELLO_LENGTH) {
        return "malformed";
      }
      if (have >= wanted) {
        return message.subarray(0, wanted);
      }
    }
    if (part.length < length) {
      return "incomplete";
    }
    offset = start + length;
  }
}

/** Reading past the end throws. */
function parseClientHello(message: Buffer): ClientHello {
  // Type and length (4), legacy_version (2), random (32).
  let offset = 38;
  offset += 1 + message.readUInt8(offset);
  const suitesEnd = offset + 2 + message.readUInt16BE(offset);
  const suites: number[] = [];
  for (offset += 2; offset < suitesEnd; offset += 2) {
    suites.push(message.readUInt16BE(offset));
  }
  offset = suitesEnd + 1 + message.readUInt8(suitesEnd);
  if (offset === message.length) {
    return { offersTls13: false, suites };
  }
  const end = offset + 2 + message.readUInt16BE(offset);
  let offersTls13 = false;
  for (offset += 2; offset < end;) {
    const type = message.readUInt16BE(offset);
    const length = message.readUInt16BE(offset + 2);
    if (type === SUPPORTED_VERSIONS) {
      for (let index = offset + 5; index + 1 < offset + 4 + length; index += 2) {
        offersTls13 ||= message.readUInt16BE(index) === TLS13;
      }
    }
    offset += 4 + length;
  }
  return { offersTls13, suites };
}
