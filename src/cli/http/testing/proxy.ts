import { createServer, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";

/** A proxy that takes CONNECT and leads every name to loopback. */
export interface TestProxy {
  readonly port: number;
  /** What was asked for, `host:port`. */
  readonly targets: readonly string[];
  /** `Proxy-Authorization` of each. */
  readonly credentials: readonly (string | undefined)[];
  stop(): Promise<void>;
}

export async function startTestProxy(
  options: { readonly refuseWith?: number; readonly ports?: Readonly<Record<string, number>> } = {},
): Promise<TestProxy> {
  const targets: string[] = [];
  const credentials: (string | undefined)[] = [];
  const server: Server = createServer((_request, response) => response.writeHead(405).end());
  const sockets = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => sockets.add(socket));
  server.on("connect", (request, client) => {
    const target = request.url ?? "";
    targets.push(target);
    credentials.push(request.headers["proxy-authorization"]);
    if (options.refuseWith !== undefined) {
      client.end(`HTTP/1.1 ${options.refuseWith} Refused Here\r\nContent-Length: 0\r\n\r\n`);
      return;
    }
    const port = options.ports?.[target] ?? Number(target.split(":").at(-1));
    const upstream = connect(port, "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      upstream.pipe(client);
      client.pipe(upstream);
    });
    sockets.add(upstream);
    upstream.on("error", () => client.destroy());
    client.on("error", () => upstream.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    targets,
    credentials,
    stop: async () => {
      for (const socket of sockets) {
        socket.destroy();
      }
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
