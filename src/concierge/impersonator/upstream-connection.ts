import type { OnReadOpts } from "node:net";
import type { TLSSocket } from "node:tls";
import { LanyardError, messageOf } from "../../errors.ts";
import type { UpstreamRequest, UpstreamSink } from "./upstream.ts";
import { createResponseParser } from "./upstream-response-parser.ts";

/** A kept-alive HTTP/1.1 connection to the kube-apiserver; one request at a time. */
export interface UpstreamConnection {
  readonly socket: TLSSocket;
  /** Requests answered so far. */
  readonly served: number;
  /** Milliseconds since the epoch of the last release, for its owner. */
  idleSince: number;
  send(request: UpstreamRequest, sink: ConnectionSink): void;
  /** Of the body. Answers whether more is welcome now. */
  write(chunk: Buffer): boolean;
  end(): void;
  resume(): void;
  destroy(): void;
}

export interface ConnectionSink extends UpstreamSink {
  /** `untouched`: not a byte of an answer was seen. */
  lost(error: Error, untouched: boolean): void;
}

export interface ConnectionEvents {
  /** It can carry another request. */
  released(connection: UpstreamConnection): void;
  closed(connection: UpstreamConnection): void;
}

export function upstreamFault(message: string, cause?: unknown): LanyardError {
  return new LanyardError({ code: "upstream.connection", message, httpStatus: 502, cause });
}

const LAST_CHUNK = "0\r\n\r\n";
/** The largest TLS record: no read gives more (RFC 8446 section 5.1). */
const READ_LENGTH = 16 * 1024;

/** Reads into the same memory again and again. */
export interface ConnectionReader {
  /** For `UpstreamEndpoint.connect`. */
  readonly onread: OnReadOpts;
  /** From now on `receive` gets what is read; it is valid during the call only. */
  attach(receive: (bytes: Buffer) => void): void;
}

/**
 * Memory that is made for each read is most of what a large answer costs. No two connections share theirs, so that whatever
 * went wrong, no byte of one answer could stand in another's (R1).
 */
export function createConnectionReader(): ConnectionReader {
  const buffer = Buffer.allocUnsafeSlow(READ_LENGTH);
  let receive: ((bytes: Buffer) => void) | undefined;
  let early: Buffer | undefined;
  return {
    onread: {
      buffer,
      callback: (length) => {
        const bytes = buffer.subarray(0, length);
        if (receive === undefined) {
          // Nobody has asked for anything yet: one look at it ends the connection.
          early ??= Buffer.from(bytes);
        } else {
          receive(bytes);
        }
        return true;
      },
    },
    attach: (receiver) => {
      receive = receiver;
      if (early !== undefined) {
        process.nextTick(receiver, early);
      }
    },
  };
}

/** `socket` is connected and its peer verified. Without a `reader` it is read as a stream. */
export function createUpstreamConnection(
  socket: TLSSocket,
  events: ConnectionEvents,
  reader?: ConnectionReader,
): UpstreamConnection {
  let sink: ConnectionSink | undefined;
  let requestDone = true;
  let responseDone = true;
  let untouched = true;
  let chunked = false;
  /** Bytes of the body that the client still owes; undefined when it declared none. */
  let owed: number | undefined;
  let served = 0;
  let closed = false;

  const parser = createResponseParser({
    informational: (status, headers) => sink?.informational(status, headers),
    head: (status, headers, length) => sink?.head(status, headers, length),
    data: (chunk) => {
      if (sink?.data(chunk) === false) {
        socket.pause();
      }
    },
    end: (trailers) => {
      responseDone = true;
      served += 1;
      if (socket.isPaused()) {
        socket.resume();
      }
      sink?.end(trailers);
      sink = undefined;
    },
  });

  const lose = (error: Error): void => {
    const loser = sink;
    sink = undefined;
    if (!closed) {
      closed = true;
      socket.destroy();
      events.closed(self);
    }
    loser?.lost(error, untouched);
  };
  const releaseIfDone = (): void => {
    if (!responseDone || closed) {
      return;
    }
    if (!requestDone || !parser.reusable) {
      // Half a request cannot be taken back.
      lose(upstreamFault("the connection is used up"));
      return;
    }
    events.released(self);
  };

  socket.setNoDelay(true);
  const receive = (bytes: Buffer): void => {
    if (closed) {
      return;
    }
    untouched = false;
    try {
      parser.push(bytes);
      sink?.flush();
    } catch (error) {
      lose(error instanceof Error ? error : upstreamFault(messageOf(error)));
      return;
    }
    if (!closed && responseDone) {
      releaseIfDone();
    }
  };
  if (reader === undefined) {
    socket.on("data", receive);
  } else {
    reader.attach(receive);
  }
  socket.on("end", () => {
    try {
      parser.finish();
    } catch (error) {
      lose(upstreamFault("the kube-apiserver closed the connection", error));
      return;
    }
    lose(upstreamFault("the kube-apiserver closed the connection"));
  });
  socket.on("error", (error) =>
    lose(upstreamFault(`the connection to the kube-apiserver broke: ${error.message}`, error)),
  );
  socket.on("close", () => lose(upstreamFault("the connection to the kube-apiserver broke")));
  socket.on("drain", () => sink?.drained());

  const finishBody = (): void => {
    if (requestDone) {
      return;
    }
    if (owed !== undefined && owed > 0) {
      lose(upstreamFault("the client's body is shorter than it declared"));
      return;
    }
    requestDone = true;
    if (chunked) {
      socket.write(LAST_CHUNK, "latin1");
    }
    if (responseDone) {
      releaseIfDone();
    }
  };
  const writeBody = (chunk: Buffer): boolean => {
    if (closed || requestDone || chunk.length === 0) {
      return true;
    }
    if (owed !== undefined) {
      owed -= chunk.length;
      if (owed < 0) {
        // Counted before it is written: what is too much must never be read as the next request (H12).
        lose(upstreamFault("the client's body is longer than it declared"));
        return true;
      }
      return socket.write(chunk);
    }
    socket.cork();
    socket.write(`${chunk.length.toString(16)}\r\n`, "latin1");
    socket.write(chunk);
    const more = socket.write("\r\n", "latin1");
    socket.uncork();
    return more;
  };

  const self: UpstreamConnection = {
    socket,
    idleSince: 0,
    get served() {
      return served;
    },
    send: (request, receiver) => {
      sink = receiver;
      requestDone = false;
      responseDone = false;
      untouched = true;
      chunked = request.body === undefined;
      owed = typeof request.body === "number" ? request.body : undefined;
      parser.expect({ method: request.method, upgrade: false });
      const head = requestHead(request);
      const { firstChunk } = request;
      if (firstChunk === undefined) {
        socket.write(head, "latin1");
      } else {
        socket.cork();
        socket.write(head, "latin1");
        writeBody(firstChunk);
        socket.uncork();
      }
      if (request.bodyComplete && !closed) {
        finishBody();
      }
    },
    write: writeBody,
    end: finishBody,
    resume: () => {
      socket.resume();
    },
    destroy: () => {
      sink = undefined;
      lose(upstreamFault("ended by the proxy"));
    },
  };
  return self;
}

function requestHead({ method, target, headers, body }: UpstreamRequest): string {
  let head = `${method} ${target} HTTP/1.1\r\n`;
  for (let index = 0; index < headers.length; index += 2) {
    head += `${headers[index]}: ${headers[index + 1]}\r\n`;
  }
  if (body === undefined) {
    head += "Transfer-Encoding: chunked\r\n";
  } else if (body !== "none") {
    head += `Content-Length: ${body}\r\n`;
  }
  return `${head}\r\n`;
}
