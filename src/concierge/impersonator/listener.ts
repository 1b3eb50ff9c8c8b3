import { createServer as createTcpServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { Server as TlsServer, TLSSocket } from "node:tls";
import type { Logger } from "../../telemetry/log.ts";
import type { ServingPair, TlsProfile } from "../../tls/profiles.ts";
import { MAXIMUM_CLIENT_HELLO_LENGTH, readClientHello } from "./client-hello.ts";
import { currentTlsOptions, tlsKindFor } from "./proxy-tls.ts";
import type { ProxyTlsOptions, ProxyTlsState, TlsKind } from "./proxy-tls.ts";

export interface ListenerOptions {
  readonly state: ProxyTlsState;
  /** `tlsProfiles.defaultServer` (contract 8.1), perhaps with fewer suites (8.2). */
  readonly profile: TlsProfile;
  readonly loopback: ServingPair;
  readonly log: Logger;
  /** Milliseconds. */
  readonly handshakeTimeout: number;
  /** More are closed as they come. */
  readonly maximumConnections: number;
  /** A connection whose handshake is done; `peerAddress` as text. */
  readonly onConnection: (socket: TLSSocket, peerAddress: string | undefined) => void;
}

export interface Listener {
  /** Rejects when the port cannot be had. */
  listen(address: {
    readonly host: string | undefined;
    readonly port: number;
  }): Promise<{ readonly port: number }>;
  /** Takes no more connections; those there are go on. */
  stop(): Promise<void>;
  readonly connections: number;
  /** Cuts what is left, handshakes included. */
  destroyAll(): void;
}

/** Alert `internal_error` (RFC 8446 section 6), in plain text as long as nothing is agreed upon. */
const INTERNAL_ERROR_ALERT = Uint8Array.of(21, 3, 3, 0, 2, 2, 80);
/**
 * `TLSWrap` makes a buffer as long as the first bytes it is given, 1,024 at least, and another 16 KB as soon as one is full,
 * for as long as the connection lives. Pieces that never fill it save those 16 KB.
 */
const TLS_PIECE_LENGTH = 1_000;
/** Contract 7.7: TCP keep-alive 3 minutes; half of it finds peers that vanished sooner. */
const KEEP_ALIVE_MILLISECONDS = 90_000;

/**
 * The proxy's port: looks at each ClientHello to choose the TLS context (clarification 9), and hands on connections whose
 * handshake is done. Certificate and client CAs follow the holders; without a serving certificate every handshake fails.
 */
export function createListener(options: ListenerOptions): Listener {
  const { state, profile, loopback, log, handshakeTimeout } = options;
  const sockets = new Set<Socket>();
  let current: ProxyTlsOptions | undefined;
  let servers: Partial<Record<TlsKind, TlsServer>> = {};

  const onSecure = (socket: TLSSocket): void => {
    socket.on("error", ignore);
    socket.setNoDelay(true);
    const address = socket.remoteAddress;
    options.onConnection(socket, address?.startsWith("::ffff:") === true ? address.slice(7) : address);
  };
  const serverOf = (kind: TlsKind, tls: ProxyTlsOptions): TlsServer | undefined => {
    const set = tls[kind];
    if (set === undefined) {
      return undefined;
    }
    const existing = servers[kind];
    if (existing !== undefined) {
      return existing;
    }
    const server = createTlsServer({ ...set, handshakeTimeout, allowHalfOpen: true } as object);
    server.on("secureConnection", onSecure);
    server.on("tlsClientError", (error: Error, socket: Socket) => {
      log.debug("TLS handshake failed", { error: error.message });
      socket.destroy();
    });
    servers[kind] = server;
    return server;
  };
  const follow = (): void => {
    try {
      const next = currentTlsOptions(state, profile, loopback);
      if (next === undefined) {
        current = undefined;
        return;
      }
      for (const kind of ["tls13", "tls12", "tls12Rsa"] as const) {
        const set = next[kind];
        if (set === undefined) {
          delete servers[kind];
        } else {
          // A whole option set: what is left out would fall back to Node's defaults (T8).
          servers[kind]?.setSecureContext(set);
        }
      }
      current = next;
    } catch (error) {
      // The last good contexts stay in force.
      log.error("could not load the impersonation proxy's serving certificate", error);
    }
  };

  const handshake = (socket: Socket, bytes: Buffer): void => {
    const hello = readClientHello(bytes);
    if (hello === "incomplete" && bytes.length < MAXIMUM_CLIENT_HELLO_LENGTH) {
      socket.once("data", (more: Buffer) => {
        socket.pause();
        handshake(socket, Buffer.concat([bytes, more]));
      });
      socket.resume();
      return;
    }
    if (current === undefined) {
      socket.end(INTERNAL_ERROR_ALERT);
      socket.destroySoon();
      return;
    }
    const kind = typeof hello === "string" ? "tls13" : tlsKindFor(hello, current);
    const server = serverOf(kind, current);
    socket.setTimeout(0);
    socket.off("timeout", giveUp);
    socket.off("end", giveUp);
    // OpenSSL reads the same bytes again; from here on the socket is its.
    socket.unshift(bytes);
    const { read } = socket;
    socket.read = (size) =>
      read.call(socket, size ?? Math.min(TLS_PIECE_LENGTH, socket.readableLength)) as unknown;
    server?.emit("connection", socket);
    // It reads in the next turn, before this.
    process.nextTick(() => {
      socket.read = read;
    });
  };
  const server = createTcpServer(
    { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MILLISECONDS },
    (socket) => {
      if (sockets.size >= options.maximumConnections) {
        socket.destroy();
        return;
      }
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
      socket.on("error", ignore);
      // Slow, or gone before there was any TLS that could end the other half.
      socket.setTimeout(handshakeTimeout, giveUp);
      socket.on("end", giveUp);
      socket.once("data", (bytes: Buffer) => {
        socket.pause();
        handshake(socket, bytes);
      });
    },
  );
  let subscriptions: (() => void)[] = [];

  return {
    get connections() {
      return sockets.size;
    },
    listen: async ({ host, port }) => {
      follow();
      subscriptions = [
        state.proxyServingCertificate.subscribe(follow),
        state.proxySignerTrust.subscribe(follow),
        state.clientCaPem.subscribe(follow),
        state.requestHeader.subscribe(follow),
      ];
      await new Promise<void>((resolve, reject) => {
        server.once("error", reject);
        server.listen({ port, ...(host === undefined ? {} : { host }) }, () => {
          server.off("error", reject);
          server.on("error", (error) => log.error("the impersonation proxy's port failed", error));
          resolve();
        });
      });
      return { port: (server.address() as AddressInfo).port };
    },
    stop: async () => {
      subscriptions.forEach((unsubscribe) => unsubscribe());
      subscriptions = [];
      servers = {};
      if (server.listening) {
        // Resolves once every connection has ended.
        await new Promise<void>((resolve) => server.close(() => resolve()));
      }
    },
    destroyAll: () => {
      for (const socket of sockets) {
        socket.destroy();
      }
    },
  };
}

function ignore(): void {}

function giveUp(this: Socket): void {
  this.destroy();
}
