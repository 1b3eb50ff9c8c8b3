import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { TLSSocket } from "node:tls";
import type { KeyPairPem } from "../../../pki/key-pair.ts";
import { testAuthority, testServingCertificate } from "./authorities.ts";

/** A server that reads nothing into what it gets: it records bytes and answers as it is told. */
export interface RawUpstream {
  readonly url: string;
  readonly caPem: string;
  /** All bytes per connection, latin1, in order of arrival. */
  readonly received: string[];
  /** What was accepted so far. */
  readonly connections: number;
  /** What all connections got together, in order of arrival. */
  readonly everything: string;
  readonly sockets: readonly TLSSocket[];
  /** Resolves once `everything` holds the text. */
  saw(text: string): Promise<void>;
  close(): Promise<void>;
}

export interface RawUpstreamOptions {
  /** Called with all bytes of a connection so far whenever some arrive. */
  readonly respond?: (socket: TLSSocket, received: string, connection: number) => void;
  readonly authority?: KeyPairPem;
  readonly alpn?: readonly string[];
  /** Whether `respond` sees to the end of a connection whose client has ended its half. */
  readonly keepsHalfOpen?: boolean;
}

export const OK = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";

/** Answers `response` to every complete head, without looking at bodies. */
export function always(response: string): NonNullable<RawUpstreamOptions["respond"]> {
  const answered = new WeakMap<TLSSocket, number>();
  return (socket, received) => {
    const heads = received.split("\r\n\r\n").length - 1;
    const done = answered.get(socket) ?? 0;
    if (heads > done) {
      answered.set(socket, heads);
      socket.write(response, "latin1");
    }
  };
}

export async function startRawUpstream(options: RawUpstreamOptions = {}): Promise<RawUpstream> {
  const authority = options.authority ?? (await testAuthority("kubernetes"));
  const pair = await testServingCertificate(authority);
  const received: string[] = [];
  let everything = "";
  const sockets: TLSSocket[] = [];
  const waiting = new Set<() => void>();
  const respond = options.respond ?? always(OK);
  const server = createTlsServer(
    {
      key: pair.privateKeyPem,
      cert: pair.certificatePem,
      minVersion: "TLSv1.3",
      ALPNProtocols: [...(options.alpn ?? ["http/1.1"])],
      allowHalfOpen: true,
    } as object,
    (socket) => {
      const index = received.length;
      received.push("");
      sockets.push(socket);
      socket.setNoDelay(true);
      socket.on("error", () => {});
      if (options.keepsHalfOpen !== true) {
        socket.on("end", () => socket.end());
      }
      socket.on("data", (chunk: Buffer) => {
        const text = chunk.toString("latin1");
        received[index] = (received[index] ?? "") + text;
        everything += text;
        respond(socket, received[index] ?? "", index);
        waiting.forEach((check) => check());
      });
    },
  );
  // Handshakes that fail never become TLS sockets, and keep their connections.
  const connections = new Set<Socket>();
  server.on("connection", (socket: Socket) => connections.add(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    caPem: authority.certificatePem,
    received,
    sockets,
    get connections() {
      return received.length;
    },
    get everything() {
      return everything;
    },
    saw: (text) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (everything.includes(text)) {
            waiting.delete(check);
            resolve();
          }
        };
        waiting.add(check);
        check();
      }),
    close: async () => {
      const closed = once(server, "close");
      server.close();
      connections.forEach((socket) => socket.destroy());
      await closed;
    },
  };
}
