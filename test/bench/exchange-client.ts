// Logs in over kept-alive TLS connections when its parent asks, in a process of its own, so that the parent's CPU is the server's.
import { Agent, request } from "node:https";

/** What the parent sends; the answer is the number of credentials. */
export interface ExchangeOrder {
  readonly port: number;
  readonly caPem: string;
  readonly path: string;
  readonly body: string;
  readonly count: number;
  readonly connections: number;
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

function post({ port, caPem, path, body }: ExchangeOrder): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        agent,
        host: "127.0.0.1",
        port,
        ca: caPem,
        servername: "localhost",
        method: "POST",
        path,
        headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => resolve(Buffer.concat(chunks).includes("clientCertificateData")));
      },
    );
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

process.on("message", (order: ExchangeOrder) => {
  let left = order.count;
  let credentials = 0;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      if (await post(order)) {
        credentials += 1;
      }
    }
  };
  Promise.all(Array.from({ length: order.connections }, worker)).then(
    () => process.send?.(credentials),
    (error: unknown) => process.send?.(String(error)),
  );
});
