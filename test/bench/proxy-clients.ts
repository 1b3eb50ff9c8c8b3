// The clients of the proxy benches.
import { connect as connectHttp2 } from "node:http2";
import type { ClientHttp2Session } from "node:http2";
import { Agent, request as httpsRequest } from "node:https";
import { connect } from "node:tls";
import type { ClientOrder } from "./proxy-bench.ts";

const sessions: ClientHttp2Session[] = [];
const watches: { close(): void }[] = [];
let agent = new Agent({ keepAlive: true, maxSockets: 16 });

const clientTls = ({ client, address: { host, port, caPem } }: ClientOrder): object => ({
  host,
  port,
  ca: caPem,
  cert: client.certificatePem,
  key: client.privateKeyPem,
});
const requestHeaders = ({ encoding }: ClientOrder): Record<string, string> => ({
  accept: "application/json",
  "accept-encoding": encoding ?? "identity",
  "user-agent": "kubectl/v1.34.0 (linux/amd64) kubernetes/0000000",
});

function getHttp1(order: ClientOrder): Promise<number> {
  return new Promise((resolve, reject) => {
    const outgoing = httpsRequest(
      { ...clientTls(order), agent, path: order.path, headers: requestHeaders(order) },
      (response) => {
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
        });
        response.on("end", () =>
          response.statusCode === 200 ? resolve(bytes) : reject(new Error(String(response.statusCode))),
        );
      },
    );
    outgoing.on("error", reject);
    outgoing.end();
  });
}

function openSession(order: ClientOrder): Promise<ClientHttp2Session> {
  const session = connectHttp2(`https://${order.address.host}:${order.address.port}`, {
    createConnection: () => connect({ ...clientTls(order), ALPNProtocols: ["h2"] }),
  });
  session.on("error", () => {});
  return new Promise((resolve) => session.once("connect", () => resolve(session)));
}

function getHttp2(session: ClientHttp2Session, order: ClientOrder): Promise<number> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":path": order.path, ...requestHeaders(order) }, { endStream: true });
    let bytes = 0;
    let status = 0;
    stream.on("response", (headers) => {
      status = Number(headers[":status"]);
    });
    stream.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
    });
    stream.on("end", () => (status === 200 ? resolve(bytes) : reject(new Error(String(status)))));
    stream.on("error", reject);
  });
}

/** Milliseconds of each request. */
export async function load(order: ClientOrder): Promise<number[]> {
  agent.destroy();
  agent = new Agent({ keepAlive: true, maxSockets: order.connections });
  sessions.splice(0).forEach((session) => session.destroy());
  if (order.protocol === "h2") {
    sessions.push(
      ...(await Promise.all(Array.from({ length: order.connections }, () => openSession(order)))),
    );
  }
  let left = order.count;
  const latencies: number[] = [];
  const worker = async (_: unknown, index: number): Promise<void> => {
    while (left > 0) {
      left -= 1;
      const started = performance.now();
      const session = sessions[index];
      await (session === undefined ? getHttp1(order) : getHttp2(session, order));
      latencies.push(performance.now() - started);
    }
  };
  await Promise.all(Array.from({ length: order.connections }, worker));
  return latencies;
}

/** Opens watches and resolves once each has had its first event. */
export async function watch(order: ClientOrder): Promise<number> {
  const { path } = order;
  const one = (session: ClientHttp2Session | undefined): Promise<void> =>
    new Promise((resolve, reject) => {
      if (session !== undefined) {
        const stream = session.request(
          { ":path": order.path, ...requestHeaders(order) },
          { endStream: true },
        );
        stream.once("data", () => resolve());
        stream.on("error", reject);
        watches.push(stream);
        return;
      }
      const outgoing = httpsRequest(
        { ...clientTls(order), agent: false, path, headers: requestHeaders(order) },
        (response) => {
          response.once("data", () => resolve());
          response.on("error", () => {});
        },
      );
      outgoing.on("error", reject);
      outgoing.end();
      watches.push({ close: () => outgoing.destroy() });
    });
  for (let from = 0; from < order.count; from += 50) {
    const session = order.protocol === "h2" && from % 250 === 0 ? await openSession(order) : sessions.at(-1);
    if (order.protocol === "h2" && session !== undefined && session !== sessions.at(-1)) {
      sessions.push(session);
    }
    await Promise.all(
      Array.from({ length: Math.min(50, order.count - from) }, () =>
        one(order.protocol === "h2" ? session : undefined),
      ),
    );
  }
  return watches.length;
}

export function unwatch(): void {
  watches.splice(0).forEach((each) => each.close());
  sessions.splice(0).forEach((each) => each.destroy());
}
