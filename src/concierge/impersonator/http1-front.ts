import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Clock } from "../../clock.ts";
import type { Logger } from "../../telemetry/log.ts";
import { encodeStatus } from "../request/status.ts";
import { createAnswerBody } from "./answer-body.ts";
import type { AnswerBody } from "./answer-body.ts";
import type { ClientEnd, ClientExchange, ClientListener } from "./client-exchange.ts";
import { ownResponseHeaders } from "./outgoing-headers.ts";
import type { InboundRequest } from "./proxied-request.ts";

export interface Http1FrontOptions {
  readonly onExchange: (client: ClientExchange) => void;
  readonly onUpgrade: (
    inbound: InboundRequest,
    socket: TLSSocket,
    early: Buffer,
    body: "none" | number | undefined,
  ) => void;
  readonly clock: Clock;
  readonly log: Logger;
  /** Milliseconds. */
  readonly headersTimeout: number;
  readonly keepAliveTimeout: number;
  readonly checkingInterval: number;
}

export interface Http1Front {
  /** Serves HTTP/1.1 on a connection whose handshake is done. */
  serve(socket: TLSSocket, peerAddress: string | undefined): void;
  /** From now on every answer ends its connection. */
  beginShutdown(): void;
  closeIdle(): void;
  closeAll(): void;
  /** Stops its timers. */
  release(): void;
}

/** What is known of one connection. */
interface Connection {
  readonly peerAddress: string | undefined;
  /** A request is without its complete answer. */
  running: number;
  /** Pipelined behind it: begun one after the other, so that nothing behind an answer that ends the connection ever is. */
  readonly waiting: (() => void)[];
  /** The answer under way is its last. */
  closing: boolean;
}

const MAXIMUM_HEADER_BYTES = 1024 * 1024;
/** More unread bytes than this are not worth waiting for. */
const WORTH_READING = 64 * 1024;
const LINGER_MILLISECONDS = 500;
/** No Kubernetes client pipelines; more than this is a flood. */
const MAXIMUM_PIPELINED = 16;

/** The HTTP/1.1 side: Node's parser, every judgement ours. */
export function createHttp1Front(options: Http1FrontOptions): Http1Front {
  const { clock, log } = options;
  const connections = new Map<Socket, Connection>();
  let shuttingDown = false;
  const server = createServer({
    // Room for our own answer in front of the limit of contract 7.7 (H6).
    maxHeaderSize: MAXIMUM_HEADER_BYTES + 16 * 1024,
    insecureHTTPParser: false,
    requireHostHeader: false,
    headersTimeout: options.headersTimeout,
    // A request's own deadline ends it; a long-running one has none.
    requestTimeout: 0,
    keepAliveTimeout: options.keepAliveTimeout,
    connectionsCheckingInterval: options.checkingInterval,
    // Every upgrade is judged in one place (H10).
    shouldUpgradeCallback: () => true,
  });
  // Node cuts the list silently, and a cut list of headers is another request.
  server.maxHeadersCount = 0;
  server.maxRequestsPerSocket = 0;
  server.timeout = 0;

  const inboundOf = (message: IncomingMessage, upgrade: boolean): InboundRequest => ({
    protocol: "HTTP/1.1",
    method: message.method ?? "",
    target: message.url ?? "",
    rawHeaders: message.rawHeaders,
    socket: message.socket as TLSSocket,
    peerAddress: connections.get(message.socket)?.peerAddress,
    upgrade,
  });
  const refuseConnection = (socket: Socket, status: number, reason: string): void => {
    const connection = connections.get(socket);
    if (connection?.closing === true) {
      // Its last answer is on the way; what follows is thrown away.
      return;
    }
    if (connection === undefined || connection.running > 0) {
      // An answer now would be taken for that to an earlier request, whose own answer goes out if it ends the connection.
      setImmediate(() => {
        if (connections.get(socket)?.closing !== true) {
          socket.destroy();
        }
      });
      return;
    }
    connection.closing = true;
    refuseBytes(socket, status, reason);
  };
  const onRequest = (message: IncomingMessage, response: ServerResponse): void => {
    if (message.httpVersionMajor !== 1 || message.httpVersionMinor !== 1) {
      // H2: a line without a version arrives as 0.9.
      refuseConnection(message.socket, 505, "HTTP Version Not Supported");
      return;
    }
    const connection = connections.get(message.socket);
    if (connection === undefined || connection.closing) {
      // Sent after something that ended the connection: whatever it is, it is not for us.
      message.resume();
      return;
    }
    const begin = (): void => {
      connection.running += 1;
      options.onExchange(
        createExchange(message, response, inboundOf(message, false), {
          clock,
          connection,
          isShuttingDown: () => shuttingDown,
        }),
      );
    };
    if (connection.running === 0) {
      begin();
    } else if (connection.waiting.length < MAXIMUM_PIPELINED) {
      connection.waiting.push(begin);
    } else {
      message.socket.destroy();
    }
  };
  server.on("request", onRequest);
  server.on("checkContinue", onRequest);
  server.on("checkExpectation", (message: IncomingMessage) => {
    refuseConnection(message.socket, 417, "Expectation Failed");
  });
  server.on("connect", (_message: IncomingMessage, socket: Socket) => {
    socket.on("error", ignore);
    refuseConnection(socket, 405, "Method Not Allowed");
  });
  server.on("upgrade", (message: IncomingMessage, socket: Socket, head: Buffer) => {
    // Nobody else listens to it any more, and an unheard error ends the process.
    socket.on("error", ignore);
    message.on("error", ignore);
    const connection = connections.get(socket);
    if (connection === undefined || connection.closing || connection.running > 0) {
      // Pipelined behind requests whose answers still need the connection.
      socket.destroy();
      return;
    }
    if (message.httpVersionMajor !== 1 || message.httpVersionMinor !== 1) {
      refuseConnection(socket, 505, "HTTP Version Not Supported");
      return;
    }
    connection.closing = true;
    options.onUpgrade(inboundOf(message, true), socket as TLSSocket, head, bodyOf(message));
  });
  server.on("clientError", (error: Error & { readonly code?: string }, socket: Socket) => {
    log.debug("a request could not be parsed", { code: error.code });
    if (error.code === "HPE_HEADER_OVERFLOW") {
      refuseConnection(socket, 431, "Request Header Fields Too Large");
    } else if (error.code === "ERR_HTTP_REQUEST_TIMEOUT") {
      refuseConnection(socket, 408, "Request Timeout");
    } else if (error.code?.startsWith("HPE_") === true) {
      refuseConnection(socket, 400, "Bad Request");
    } else {
      socket.destroy();
    }
  });
  // It never listens itself, and its timers begin with this event.
  server.emit("listening");

  return {
    serve: (socket, peerAddress) => {
      connections.set(socket, { peerAddress, running: 0, waiting: [], closing: false });
      socket.once("close", () => connections.delete(socket));
      server.emit("connection", socket);
    },
    beginShutdown: () => {
      shuttingDown = true;
    },
    closeIdle: () => server.closeIdleConnections(),
    closeAll: () => {
      for (const socket of [...connections.keys()]) {
        socket.destroy();
      }
    },
    release: () => closeServer(server),
  };
}

function ignore(): void {}

/** Ends the timers of a server that never listened. */
function closeServer(server: Server): void {
  server.close(() => {});
}

/** What is not even a request gets a short answer and the end of the connection. */
export function refuseBytes(socket: Socket, status: number, reason: string): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body = encodeStatus({
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message: reason,
    ...(status === 400 ? { reason: "BadRequest" } : {}),
    code: status,
  });
  const headers = ownResponseHeaders("", [
    "Content-Type",
    "application/json",
    "Content-Length",
    String(Buffer.byteLength(body)),
    "Connection",
    "close",
  ]);
  let head = `HTTP/1.1 ${status} ${reason}\r\n`;
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index] !== "Audit-Id") {
      head += `${headers[index]}: ${headers[index + 1]}\r\n`;
    }
  }
  socket.end(`${head}\r\n${body}`);
  socket.resume();
  socket.setTimeout(LINGER_MILLISECONDS, () => socket.destroy());
}

function bodyOf(message: IncomingMessage): "none" | number | undefined {
  const { rawHeaders } = message;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? "";
    if (name.length === 14 && name.toLowerCase() === "content-length") {
      const length = Number(rawHeaders[index + 1]);
      // An explicit zero goes on as it came.
      return Number.isSafeInteger(length) ? length : "none";
    }
    if (name.length === 17 && name.toLowerCase() === "transfer-encoding") {
      return undefined;
    }
  }
  return "none";
}

function createExchange(
  message: IncomingMessage,
  response: ServerResponse,
  inbound: InboundRequest,
  {
    clock,
    connection,
    isShuttingDown,
  }: { readonly clock: Clock; readonly connection: Connection; readonly isShuttingDown: () => boolean },
): ClientExchange {
  const body = bodyOf(message);
  let bodyEnded = body === "none" || body === 0;
  let ended: ((end: ClientEnd) => void) | undefined;
  let answerBody: AnswerBody | undefined;
  let headSent = false;
  let awaitsDrain = false;
  let onDrained = ignore;
  response.sendDate = false;

  message.on("error", ignore);
  response.on("error", ignore);
  response.on("close", () => {
    answerBody?.discard();
    connection.running -= 1;
    if (isShuttingDown() && connection.running === 0) {
      // Its answer began before anybody knew.
      message.socket.destroySoon();
    }
    const callback = ended;
    ended = undefined;
    callback?.(response.writableFinished ? "complete" : "gone");
    if (!connection.closing && !message.socket.destroyed) {
      connection.waiting.shift()?.();
    }
  });

  /** Whether the connection ends with this answer: it is wanted, or an unread body stands in the way of the next request. */
  const connectionHeader = (wanted: boolean): readonly string[] => {
    const unread =
      !message.complete && (body === undefined || (typeof body === "number" && body > WORTH_READING));
    if (unread) {
      linger(message, clock);
    }
    if (wanted || unread || isShuttingDown()) {
      connection.closing = true;
      return ["Connection", "close"];
    }
    return [];
  };
  const writeHead = (status: number, headers: readonly string[], close: boolean): void => {
    const connection = connectionHeader(close);
    response.writeHead(status, connection.length === 0 ? (headers as string[]) : [...headers, ...connection]);
  };
  const sendHead = (): void => {
    if (!headSent) {
      headSent = true;
      response.flushHeaders();
    }
  };

  return {
    inbound,
    body,
    expectsContinue: message.headers.expect !== undefined,
    get bodyComplete() {
      return bodyEnded;
    },
    takeBody: () => {
      const chunk = message.read() as Buffer | null;
      if (message.complete && message.readableLength === 0) {
        bodyEnded = true;
      }
      return chunk ?? undefined;
    },
    listen: ({ body: onBody, bodyEnd, drained }: ClientListener) => {
      onDrained = drained;
      if (!bodyEnded) {
        message.on("data", (chunk: Buffer) => {
          if (!onBody(chunk)) {
            message.pause();
          }
        });
        message.on("end", () => {
          bodyEnded = true;
          bodyEnd();
        });
      }
    },
    resumeBody: () => {
      if (!bodyEnded) {
        message.resume();
      }
    },
    onEnd: (callback) => {
      ended = callback;
    },
    informational: (status, headers) => {
      if (status === 100) {
        response.writeContinue();
        return;
      }
      if (status !== 101 && !response.headersSent) {
        response.writeInformation(status, headers as string[]);
      }
    },
    answer: (status, headers, bytes, close) => {
      writeHead(status, headers, close);
      response.end(bytes);
    },
    begin: (status, headers, { prompt, length }) => {
      writeHead(status, headers, false);
      // Past `response.write`, which would frame every part for itself.
      answerBody = createAnswerBody({
        socket: message.socket,
        chunked: length === undefined,
        prompt,
        sendHead,
      });
    },
    flush: sendHead,
    write: (chunk) => {
      const welcome = answerBody?.write(chunk) !== false;
      if (!welcome && !awaitsDrain) {
        awaitsDrain = true;
        message.socket.once("drain", () => {
          awaitsDrain = false;
          onDrained();
        });
      }
      return welcome;
    },
    end: (trailers) => {
      message.socket.cork();
      answerBody?.flush();
      if (trailers.length > 0) {
        const pairs: [string, string][] = [];
        for (let index = 0; index < trailers.length; index += 2) {
          pairs.push([trailers[index] ?? "", trailers[index + 1] ?? ""]);
        }
        response.addTrailers(pairs);
      }
      response.end();
      message.socket.uncork();
    },
    reset: () => {
      message.socket.destroy();
    },
  };
}

/**
 * A socket that is closed while bytes of the request are unread is reset, and the reset overtakes the answer (RFC 9112
 * section 9.6). So only our direction is closed with the answer, what still comes in is thrown away, and the rest follows.
 */
function linger(message: IncomingMessage, clock: Pick<Clock, "schedule">): void {
  const { socket } = message;
  socket.destroySoon = () => {
    const destroy = (): void => void socket.destroy();
    socket.once("close", clock.schedule(LINGER_MILLISECONDS, destroy));
    message.once("end", destroy);
    socket.end();
    message.resume();
  };
}
