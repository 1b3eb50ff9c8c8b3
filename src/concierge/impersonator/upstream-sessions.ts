import { connect, constants } from "node:http2";
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from "node:http2";
import type { TLSSocket } from "node:tls";
import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import { createUpstreamConnection, upstreamFault } from "./upstream-connection.ts";
import type { UpstreamEndpoint } from "./upstream-endpoint.ts";
import type { Upstream, UpstreamCall, UpstreamRequest, UpstreamSink } from "./upstream.ts";

export interface UpstreamSessions extends Upstream {
  /** Open connections. */
  readonly size: number;
  close(): void;
}

export interface UpstreamSessionsOptions {
  readonly endpoint: UpstreamEndpoint;
  readonly clock: Clock;
}

/** Streams of one connection; a kube-apiserver allows 100, and a watch behind many others is late. */
const STREAMS_PER_SESSION = 90;
const PING_MILLISECONDS = 15_000;
const MAXIMUM_MISSED_PINGS = 2;
const MAXIMUM_HEADER_BYTES = 2 * 1024 * 1024;
const MAXIMUM_HEADER_PAIRS = 10_000;

interface Session {
  readonly http2: ClientHttp2Session;
  streams: number;
  missedPings: number;
  /** Takes no more: it was told to go away, or trusts what is not trusted any more. */
  retired: boolean;
}

/**
 * Long-running requests as HTTP/2 streams: a watch costs a third of the memory that a connection of its own would take
 * (design.md section 9). Short calls never share these connections (R4). Where the other side has no HTTP/2, each request
 * gets an HTTP/1.1 connection of its own.
 */
export function createUpstreamSessions(options: UpstreamSessionsOptions): UpstreamSessions {
  const { endpoint, clock } = options;
  const sessions = new Set<Session>();
  let pending: Promise<Session | TLSSocket> | undefined;
  /** Who already waits for `pending`. */
  let pendingStreams = 0;
  let closed = false;

  endpoint.onChange(() => {
    for (const session of sessions) {
      retire(session);
    }
  });
  let cancelPings = (): void => {};
  const pingAll = (): void => {
    for (const session of sessions) {
      ping(session);
    }
    cancelPings = clock.schedule(PING_MILLISECONDS, pingAll);
  };
  cancelPings = clock.schedule(PING_MILLISECONDS, pingAll);

  /** R5: a peer that vanished says nothing. */
  function ping(session: Session): void {
    if (session.missedPings >= MAXIMUM_MISSED_PINGS) {
      session.http2.destroy(upstreamFault("the kube-apiserver does not answer pings"));
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
  }

  function retire(session: Session): void {
    session.retired = true;
    if (session.streams === 0) {
      session.http2.close();
    }
  }

  function adopt(socket: TLSSocket): Session {
    const http2 = connect("https://kube-apiserver", {
      createConnection: () => socket,
      maxHeaderListPairs: MAXIMUM_HEADER_PAIRS,
      maxSendHeaderBlockLength: MAXIMUM_HEADER_BYTES,
      settings: { enablePush: false, maxHeaderListSize: MAXIMUM_HEADER_BYTES },
    });
    const session: Session = { http2, streams: 0, missedPings: 0, retired: false };
    sessions.add(session);
    http2.on("goaway", () => retire(session));
    // The socket may stay half open, as a tunnel wants it, and node:http2 waits for its end: a kube-apiserver that is killed
    // closes its side and says nothing more.
    socket.once("end", () => http2.destroy(upstreamFault("the kube-apiserver closed the connection")));
    http2.on("error", () => {});
    http2.on("close", () => {
      session.retired = true;
      sessions.delete(session);
    });
    return session;
  }

  async function establish(): Promise<Session | TLSSocket> {
    const { generation } = endpoint;
    const socket = await endpoint.connect(["h2", "http/1.1"]);
    if (closed) {
      socket.destroy();
      throw upstreamFault("the proxy is shutting down");
    }
    if (socket.alpnProtocol !== "h2") {
      return socket;
    }
    const session = adopt(socket);
    session.retired = generation !== endpoint.generation;
    return session;
  }

  function roomiest(): Session | undefined {
    for (const session of sessions) {
      const { maxConcurrentStreams = STREAMS_PER_SESSION } = session.http2.remoteSettings ?? {};
      if (!session.retired && session.streams < Math.min(STREAMS_PER_SESSION, maxConcurrentStreams)) {
        return session;
      }
    }
    return undefined;
  }

  async function acquire(): Promise<Session | TLSSocket> {
    for (;;) {
      const session = roomiest();
      if (session !== undefined) {
        // Taken now: others ask before the stream is open.
        session.streams += 1;
        return session;
      }
      if (pending === undefined || pendingStreams >= STREAMS_PER_SESSION) {
        pendingStreams = 0;
        const mine = establish().finally(() => {
          if (pending === mine) {
            pending = undefined;
          }
        });
        pending = mine;
        const own = await mine;
        if ("http2" in own) {
          own.streams += 1;
        }
        return own;
      }
      pendingStreams += 1;
      const shared = await pending;
      if ("http2" in shared && !shared.retired && shared.streams < STREAMS_PER_SESSION) {
        shared.streams += 1;
        return shared;
      }
    }
  }

  return {
    get size() {
      return sessions.size;
    },
    send: (request, sink) => {
      const early: Buffer[] = [];
      let earlyEnd = request.bodyComplete;
      let call: UpstreamCall | undefined;
      let aborted = false;
      const begin = async (): Promise<void> => {
        try {
          const session = await acquire();
          if (aborted) {
            if ("http2" in session) {
              session.streams -= 1;
            } else {
              session.destroy();
            }
            return;
          }
          call = "http2" in session ? openStream(session, request, sink) : sendAlone(session, request, sink);
          for (const chunk of early) {
            call.write(chunk);
          }
          if (earlyEnd && !request.bodyComplete) {
            call.end();
          }
          sink.drained();
        } catch (error) {
          if (!aborted) {
            sink.failed(upstreamFault(`no connection to the kube-apiserver: ${messageOf(error)}`, error));
          }
        }
      };
      void begin();
      return {
        write: (chunk) => {
          if (call !== undefined) {
            return call.write(chunk);
          }
          early.push(chunk);
          return false;
        },
        end: () => {
          earlyEnd = true;
          call?.end();
        },
        resume: () => call?.resume(),
        abort: () => {
          aborted = true;
          call?.abort();
        },
      };
    },
    close: () => {
      closed = true;
      cancelPings();
      for (const { http2 } of sessions) {
        http2.destroy();
      }
    },
  };

  function openStream(session: Session, request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const endStream = request.bodyComplete && request.firstChunk === undefined;
    const stream = session.http2.request(pseudoHeaders(request), { endStream });
    followStream(stream, request.method, sink, () => {
      session.streams -= 1;
      if (session.retired) {
        retire(session);
      }
    });
    if (!endStream) {
      if (request.firstChunk !== undefined) {
        stream.write(request.firstChunk);
      }
      if (request.bodyComplete) {
        stream.end();
      }
    }
    return {
      write: (chunk) => stream.write(chunk),
      end: () => {
        stream.end();
      },
      resume: () => {
        stream.resume();
      },
      // Not `close(code)`: Node would end the body properly, and half an upload would look like a whole one.
      abort: () => {
        stream.destroy(GONE);
      },
    };
  }

  function sendAlone(socket: TLSSocket, request: UpstreamRequest, sink: UpstreamSink): UpstreamCall {
    const connection = createUpstreamConnection(socket, {
      released: (each) => each.destroy(),
      closed: () => {},
    });
    connection.send(request, { ...sink, lost: (error) => sink.failed(error) });
    return {
      write: connection.write,
      end: connection.end,
      resume: connection.resume,
      abort: connection.destroy,
    };
  }
}

const GONE = new Error("the client is gone");

function pseudoHeaders({ method, target, headers, body }: UpstreamRequest): string[] {
  const list = [":method", method, ":path", target, ":scheme", "https"];
  const authority = headers.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === "host");
  list.push(":authority", headers[authority + 1] ?? "");
  for (let index = 0; index < headers.length; index += 2) {
    if (index !== authority) {
      list.push((headers[index] ?? "").toLowerCase(), headers[index + 1] ?? "");
    }
  }
  if (typeof body === "number") {
    list.push("content-length", String(body));
  }
  return list;
}

function followStream(
  stream: ClientHttp2Stream,
  method: string,
  sink: UpstreamSink,
  closed: () => void,
): void {
  let trailers: readonly string[] = [];
  let over = false;
  let failure: Error | undefined;
  const rest = (raw: readonly string[]): string[] => withoutPseudoHeaders(raw);
  stream.on("headers", ((
    headers: IncomingHttpHeaders & { ":status"?: number },
    _flags: number,
    raw: string[],
  ) => sink.informational(Number(headers[":status"]), rest(raw))) as never);
  stream.on("response", ((
    headers: IncomingHttpHeaders & { ":status"?: number },
    flags: number,
    raw: string[],
  ) => {
    const status = Number(headers[":status"]);
    const ended = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    const declared = headers["content-length"];
    const bodyless = ended || method === "HEAD" || status === 204 || status === 304;
    sink.head(status, rest(raw), bodyless ? 0 : declared === undefined ? undefined : Number(declared));
    sink.flush();
  }) as never);
  stream.on("trailers", ((_headers: IncomingHttpHeaders, _flags: number, raw: string[]) => {
    trailers = rest(raw);
  }) as never);
  stream.on("data", (chunk: Buffer) => {
    if (!sink.data(chunk)) {
      stream.pause();
    }
    sink.flush();
  });
  stream.on("end", () => {
    // A reset ends the stream, too; what it carried is not complete then.
    if (!over && stream.rstCode === constants.NGHTTP2_NO_ERROR && failure === undefined && !stream.aborted) {
      over = true;
      sink.end(trailers);
    }
  });
  stream.on("drain", () => sink.drained());
  stream.on("error", (error) => {
    failure = error;
  });
  stream.on("close", () => {
    closed();
    if (!over) {
      over = true;
      sink.failed(upstreamFault("the kube-apiserver ended the stream", failure));
    }
  });
}

function withoutPseudoHeaders(raw: readonly string[]): string[] {
  let index = 0;
  while (raw[index]?.startsWith(":") === true) {
    index += 2;
  }
  return raw.slice(index);
}
