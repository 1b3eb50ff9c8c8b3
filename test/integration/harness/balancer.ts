import { connect, createServer, type Server, type Socket } from "node:net";

/** Plays kube-proxy for a Service whose endpoints are local processes: round robin over whoever accepts the connection. */
export interface Balancer {
  readonly port: number;
  setBackends(ports: readonly number[]): void;
  close(): Promise<void>;
}

export async function startBalancer(): Promise<Balancer> {
  let backends: readonly number[] = [];
  let turn = 0;
  const sockets = new Set<Socket>();

  const forward = (client: Socket, candidates: readonly number[]): void => {
    const [port, ...others] = candidates;
    if (port === undefined) {
      client.destroy();
      return;
    }
    // As a packet filter, it passes on that one side is done and leaves the other alone.
    const upstream = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    sockets.add(upstream);
    upstream.once("close", () => sockets.delete(upstream));
    upstream.once("error", () => forward(client, others));
    upstream.once("connect", () => {
      upstream.removeAllListeners("error");
      upstream.on("error", () => client.destroy());
      client.on("error", () => upstream.destroy());
      client.pipe(upstream).pipe(client);
      client.once("close", () => upstream.destroy());
      upstream.once("close", () => client.destroySoon());
    });
  };

  const server: Server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    sockets.add(client);
    client.once("close", () => sockets.delete(client));
    client.on("error", () => client.destroy());
    turn += 1;
    const rotated = backends.map((_, index) => backends[(index + turn) % backends.length] ?? 0);
    forward(client, rotated);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "localhost", resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") {
    throw new TypeError("the balancer listens on no port");
  }
  return {
    port: address.port,
    setBackends: (ports) => {
      backends = ports;
    },
    close: async () => {
      for (const socket of sockets) {
        socket.destroy();
      }
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}
