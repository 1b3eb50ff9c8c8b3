import { constants, performServerHandshake } from "node:http2";
import type { Http2Session, IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { TLSSocket } from "node:tls";
import type { Clock } from "../../clock.ts";
import { createAnswerBody } from "./answer-body.ts";
import type { AnswerBody } from "./answer-body.ts";
import type { ClientEnd, ClientExchange, ClientListener } from "./client-exchange.ts";
import type { InboundRequest } from "./proxied-request.ts";

/** Headers of which node:http2 sends one value only (`kSingleValueHeaders` in its source), as far as responses have them. */
const SINGLE_VALUED = new Set([
  "access-control-allow-credentials",
  "access-control-max-age",
  "access-control-request-method",
  "age",
  "content-encoding",
  "content-language",
  "content-length",
  "content-location",
  "content-md5",
  "content-range",
  "content-type",
  "date",
  "dnt",
  "etag",
  "expires",
  "last-modified",
  "location",
  "retry-after",
  "tk",
  "x-content-type-options",
]);

export interface Http2FrontOptions {
  readonly onExchange: (client: ClientExchange) => void;
  readonly clock: Clock;
  /** Milliseconds. */
  readonly idleTimeout: number;
  readonly pingInterval: number;
  readonly maximumStreams: number;
}

export interface Http2Front {
  serve(socket: TLSSocket, peerAddress: string | undefined): void;
  /** Every client is told to open no more streams here; those that it opens before it has heard of it are served. */
  beginShutdown(): void;
  /** Takes no more streams, and ends each connection with its last one. */
  close(): void;
  closeAll(): void;
  release(): void;
  readonly sessions: number;
}

const MAXIMUM_MISSED_PINGS = 3;
/** As the last stream of a GOAWAY: one that says nothing about which streams were looked at (RFC 9113 section 6.8). */
const EVERY_STREAM = 2 ** 31 - 1;
/** Twice what a request may have, so that one above the limit gets its 431. */
const MAXIMUM_HEADER_BYTES = 2 * 1024 * 1024;
const MAXIMUM_HEADER_PAIRS = 40_000;
/** Nine frames of it hold 1 MiB of headers: more than nine in a row are taken for a flood. */
const MAXIMUM_FRAME_BYTES = 128 * 1024;
const SESSION_MEMORY_MEGABYTES = 64;

interface Session {
  readonly http2: ServerHttp2Session;
  readonly socket: TLSSocket;
  readonly peerAddress: string | undefined;
  streams: number;
  missedPings: number;
  lastActive: number;
}

/** The HTTP/2 side: sessions of Node's, each looked after for vanished and idle clients (R6). */
export function createHttp2Front(options: Http2FrontOptions): Http2Front {
  const { clock, onExchange, idleTimeout, pingInterval, maximumStreams } = options;
  const sessions = new Map<Http2Session, Session>();
  let phase: "serving" | "leaving" | "closing" = "serving";

  // One function for all streams: a watch should not cost a closure per session.
  function onStream(
    this: ServerHttp2Session,
    stream: ServerHttp2Stream,
    _headers: IncomingHttpHeaders,
    flags: number,
    rawHeaders: string[],
  ): void {
    const session = sessions.get(this);
    if (session === undefined) {
      stream.on("error", ignore);
      stream.destroy(new Error("the connection is ending"));
      return;
    }
    session.streams += 1;
    session.lastActive = clock.now();
    const endStream = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    const exchange = createExchange(stream, rawHeaders, endStream, session, () => {
      session.streams -= 1;
      session.lastActive = clock.now();
    });
    onExchange(exchange);
  }

  const sayGoodbye = (http2: ServerHttp2Session): void => {
    if (http2.destroyed) {
      return;
    }
    if (phase === "leaving") {
      http2.goaway(constants.NGHTTP2_NO_ERROR, EVERY_STREAM);
    } else if (phase === "closing") {
      http2.close();
    }
  };

  const look = (session: Session): void => {
    if (session.streams === 0 && clock.now() - session.lastActive >= idleTimeout) {
      session.http2.close();
      return;
    }
    if (session.missedPings >= MAXIMUM_MISSED_PINGS) {
      session.http2.destroy();
      session.socket.destroy();
      return;
    }
    session.missedPings += 1;
    try {
      session.http2.ping(() => {
        session.missedPings = 0;
      });
    } catch {
      session.http2.destroy();
    }
  };
  let cancel = ignore;
  const lookAtAll = (): void => {
    for (const session of sessions.values()) {
      look(session);
    }
    cancel = clock.schedule(pingInterval, lookAtAll);
  };
  cancel = clock.schedule(pingInterval, lookAtAll);

  return {
    get sessions() {
      return sessions.size;
    },
    serve: (socket, peerAddress) => {
      const http2 = performServerHandshake(socket, {
        maxHeaderListPairs: MAXIMUM_HEADER_PAIRS,
        maxSendHeaderBlockLength: MAXIMUM_HEADER_BYTES,
        maxSessionMemory: SESSION_MEMORY_MEGABYTES,
        maxOutstandingPings: 10,
        maxSettings: 32,
        settings: {
          enablePush: false,
          maxConcurrentStreams: maximumStreams,
          maxHeaderListSize: MAXIMUM_HEADER_BYTES,
          maxFrameSize: MAXIMUM_FRAME_BYTES,
        },
      });
      sessions.set(http2, {
        http2,
        socket,
        peerAddress,
        streams: 0,
        missedPings: 0,
        lastActive: clock.now(),
      });
      http2.on("stream", onStream as never);
      http2.on("error", ignore);
      http2.on("close", () => sessions.delete(http2));
      socket.on("error", ignore);
      // The socket may stay half open, as a tunnel over HTTP/1.1 wants it, and node:http2 waits for its end: a client that is
      // killed closes its side and says nothing more.
      socket.once("end", () => {
        http2.destroy();
        socket.destroy();
      });
      sayGoodbye(http2);
    },
    beginShutdown: () => {
      phase = "leaving";
      [...sessions.values()].forEach(({ http2 }) => sayGoodbye(http2));
    },
    close: () => {
      phase = "closing";
      [...sessions.values()].forEach(({ http2 }) => sayGoodbye(http2));
    },
    closeAll: () => {
      for (const { http2, socket } of sessions.values()) {
        http2.destroy();
        socket.destroy();
      }
    },
    release: () => cancel(),
  };
}

function ignore(): void {}

const BROKEN_OFF = new Error("the answer was broken off");

function createExchange(
  stream: ServerHttp2Stream,
  raw: readonly string[],
  endStream: boolean,
  session: Session,
  closed: () => void,
): ClientExchange {
  const { inbound, declared, expectsContinue } = readHead(raw, session);
  const body = endStream ? "none" : declared;
  let bodyEnded = endStream;
  let ended: ((end: ClientEnd) => void) | undefined;
  let complete = false;
  let trailersToSend: readonly string[] | undefined;
  let answerBody: AnswerBody | undefined;

  stream.on("error", ignore);
  stream.on("close", () => {
    answerBody?.discard();
    closed();
    const callback = ended;
    ended = undefined;
    callback?.(complete && stream.rstCode === constants.NGHTTP2_NO_ERROR ? "complete" : "gone");
  });
  if (endStream) {
    // Nothing comes, and a stream that is not read never closes.
    stream.resume();
  }
  const respond = (
    status: number,
    headers: readonly string[],
    bodyless: boolean,
    waitForTrailers: boolean,
  ): void => {
    const list = [":status", String(status)];
    const once = new Set<string>();
    for (let index = 0; index < headers.length; index += 2) {
      const name = (headers[index] ?? "").toLowerCase();
      // Ours stands before the kube-apiserver's of the same name; node:http2 throws when one of these comes twice.
      if (!SINGLE_VALUED.has(name) || !once.has(name)) {
        once.add(name);
        list.push(name, headers[index + 1] ?? "");
      }
    }
    try {
      stream.respond(list, { endStream: bodyless, waitForTrailers, sendDate: false } as never);
    } catch (error) {
      // What cannot be sent must not leave the client waiting; `close(code)` would end it properly, as in `reset`.
      stream.destroy(error instanceof Error ? error : BROKEN_OFF);
    }
  };
  const finishRequest = (): void => {
    if (!bodyEnded) {
      // The answer is out; what the client still sends is of no interest (RFC 9113 section 8.1).
      stream.resume();
    }
  };

  return {
    inbound,
    body,
    expectsContinue,
    get bodyComplete() {
      return bodyEnded;
    },
    takeBody: () => {
      const chunk = stream.read() as Buffer | null;
      return chunk ?? undefined;
    },
    listen: ({ body: onBody, bodyEnd, drained }: ClientListener) => {
      stream.on("drain", drained);
      if (!bodyEnded) {
        stream.on("data", (chunk: Buffer) => {
          if (!onBody(chunk)) {
            stream.pause();
          }
        });
        stream.on("end", () => {
          bodyEnded = true;
          if (!stream.aborted) {
            bodyEnd();
          }
        });
      }
    },
    resumeBody: () => {
      if (!bodyEnded) {
        stream.resume();
      }
    },
    onEnd: (callback) => {
      ended = callback;
    },
    informational: (status, headers) => {
      if (stream.destroyed || stream.headersSent || status === 101) {
        return;
      }
      const object: Record<string, string | number> = { ":status": status };
      for (let index = 0; index < headers.length; index += 2) {
        object[(headers[index] ?? "").toLowerCase()] = headers[index + 1] ?? "";
      }
      stream.additionalHeaders(object);
    },
    answer: (status, headers, bytes, close) => {
      if (stream.destroyed) {
        return;
      }
      complete = true;
      const bodyless = bytes === undefined || bytes.length === 0 || inbound.method === "HEAD";
      respond(status, headers, bodyless, false);
      if (!bodyless) {
        stream.end(bytes);
      }
      finishRequest();
      if (close) {
        session.http2.close();
      }
    },
    begin: (status, headers, { hasTrailers, prompt }) => {
      if (stream.destroyed) {
        return;
      }
      answerBody = createAnswerBody({ socket: stream, chunked: false, prompt, sendHead: ignore });
      respond(status, headers, false, hasTrailers);
      if (hasTrailers) {
        stream.on("wantTrailers", () => {
          if (trailersToSend === undefined || trailersToSend.length === 0) {
            stream.close();
            return;
          }
          const object: Record<string, string> = {};
          for (let index = 0; index < trailersToSend.length; index += 2) {
            object[(trailersToSend[index] ?? "").toLowerCase()] = trailersToSend[index + 1] ?? "";
          }
          stream.sendTrailers(object);
        });
      }
    },
    flush: () => {},
    write: (chunk) => {
      if (stream.destroyed) {
        return true;
      }
      return answerBody?.write(chunk) ?? true;
    },
    end: (trailers) => {
      if (stream.destroyed) {
        return;
      }
      complete = true;
      trailersToSend = trailers;
      answerBody?.flush();
      stream.end();
      finishRequest();
    },
    reset: () => {
      complete = false;
      // Not `close(code)`: Node ends the body properly then, and half an answer looks like a whole one.
      stream.destroy(BROKEN_OFF);
    },
  };
}

interface Head {
  readonly inbound: InboundRequest;
  readonly declared: number | undefined;
  readonly expectsContinue: boolean;
}

/** Pseudo headers become what they are in HTTP/1.1; all else stays as it came, in its order. */
function readHead(raw: readonly string[], session: Session): Head {
  let method = "";
  let target = "";
  let authority: string | undefined;
  let declared: number | undefined;
  let expectsContinue = false;
  const rawHeaders: string[] = [];
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] ?? "";
    const value = raw[index + 1] ?? "";
    if (name.charCodeAt(0) === 58) {
      if (name === ":method") {
        method = value;
      } else if (name === ":path") {
        target = value;
      } else if (name === ":authority") {
        authority = value;
      }
      continue;
    }
    if (name === "content-length") {
      declared = Number(value);
    } else if (name === "expect") {
      expectsContinue = true;
    } else if (name === "host" && value === authority) {
      // Said twice, and the same both times.
      continue;
    }
    rawHeaders.push(name, value);
  }
  if (authority !== undefined) {
    rawHeaders.unshift("host", authority);
  }
  return {
    inbound: {
      protocol: "HTTP/2.0",
      method,
      target,
      rawHeaders,
      socket: session.socket,
      peerAddress: session.peerAddress,
      upgrade: false,
    },
    declared,
    expectsContinue,
  };
}
