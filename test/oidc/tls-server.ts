import type { IncomingMessage, ServerResponse } from "node:http";
import type { Server } from "node:https";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { KeyPairPem } from "../../src/pki/key-pair.ts";

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => unknown;

/** A TLS server that can go away and come back on its port. */
export interface TlsServer {
  readonly port: number;
  /** `https://<address>:<port>`. */
  readonly origin: string;
  /** Connections accepted so far. */
  connections(): number;
  start(): Promise<void>;
  /** Cuts what is open. */
  stop(): Promise<void>;
}

/** Listens on 127.0.0.1, port 0 unless asked otherwise; `origin` has the address. */
export async function startTlsServer(
  certificate: KeyPairPem,
  handler: RequestHandler,
  port = 0,
  address = "127.0.0.1",
): Promise<TlsServer> {
  let server: Server | undefined;
  let connections = 0;
  let bound = port;
  const start = async (): Promise<void> => {
    const next = createServer(
      { key: certificate.privateKeyPem, cert: certificate.certificatePem },
      (request, response) => {
        handler(request, response);
      },
    );
    next.on("connection", () => {
      connections += 1;
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    next.once("error", reject);
    next.listen(bound, address, resolve);
    await promise;
    bound = (next.address() as AddressInfo).port;
    server = next;
  };
  await start();
  return {
    port: bound,
    origin: `https://${address}:${bound}`,
    connections: () => connections,
    start,
    stop: async () => {
      const current = server;
      server = undefined;
      if (current !== undefined) {
        current.closeAllConnections();
        await new Promise<void>((resolve) => {
          current.close(() => resolve());
        });
      }
    },
  };
}

/** The whole body of a request. */
export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) {
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Answers with JSON. */
export function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}
