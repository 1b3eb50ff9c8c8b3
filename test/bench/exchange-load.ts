// Posts over kept-alive TLS connections with as little work as possible: a client that is busier than the server decides how often
// the server sleeps and wakes, and so what its requests cost.
import { once } from "node:events";
import { connect } from "node:tls";
import type { TLSSocket } from "node:tls";
import type { Target } from "./load.ts";

/** Connections that post the same request again and again. */
export interface ExchangeLoad {
  /** Posts `count` times, one at a time on each connection; answers how many answers had `bytes` bytes and held `expected`. */
  run(count: number, expected: string): Promise<number>;
  close(): void;
}

const HEAD_END = "\r\n\r\n";

/** Opens `connections` connections and keeps them. */
export async function openExchangeLoad(target: Target, connections: number): Promise<ExchangeLoad> {
  const { port, caPem, path, body } = target;
  const request = Buffer.from(
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}${HEAD_END}${body}`,
  );
  const sockets = await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = connect({
        host: "127.0.0.1",
        port,
        ca: caPem,
        servername: "localhost",
        ALPNProtocols: ["http/1.1"],
      });
      await once(socket, "secureConnect");
      socket.setNoDelay(true);
      return socket;
    }),
  );
  return {
    run: async (count, expected) => {
      let left = count;
      let good = 0;
      await Promise.all(
        sockets.map(async (socket) => {
          while (left > 0) {
            left -= 1;
            socket.write(request);
            if ((await readAnswer(socket)).includes(expected)) {
              good += 1;
            }
          }
        }),
      );
      return good;
    },
    close: () => sockets.forEach((socket) => socket.destroy()),
  };
}

/** One answer with a `Content-Length`, head and body. */
function readAnswer(socket: TLSSocket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const stop = (): void => {
      socket.off("data", take);
      socket.off("close", leave);
    };
    const leave = (): void => {
      stop();
      reject(new Error("the server closed a connection"));
    };
    const take = (chunk: Buffer): void => {
      text += chunk.toString("latin1");
      const end = text.indexOf(HEAD_END);
      const length = end === -1 ? undefined : /\r\ncontent-length: (\d+)/i.exec(text)?.[1];
      if (length !== undefined && text.length >= end + HEAD_END.length + Number(length)) {
        stop();
        resolve(text);
      }
    };
    socket.on("data", take);
    socket.once("close", leave);
  });
}
