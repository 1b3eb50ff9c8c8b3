import { connect as connectHttp2, createSecureServer } from "node:http2";
import type { Http2SecureServer, Http2ServerRequest, OutgoingHttpHeaders } from "node:http2";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { testAuthority, testServingCertificate } from "../../../src/concierge/api/testing/harness.ts";
import type { TestClientCertificate } from "../../../src/concierge/api/testing/harness.ts";
import { createImpersonationProxy } from "../../../src/concierge/impersonator/impersonation-proxy.ts";
import { createPipelineWorld } from "../../../src/concierge/impersonator/testing/pipeline-harness.ts";
import type {
  PipelineWorld,
  WorldOptions,
} from "../../../src/concierge/impersonator/testing/pipeline-harness.ts";
import { silentLogger } from "../../../src/telemetry/log.ts";

/** A request as the kube-apiserver got it. */
export interface Seen {
  readonly method: string;
  readonly target: string;
  /** Name in lower case and value, repeats kept. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** The whole proxy, engine and steps, before an upstream that writes down what it gets. */
export interface IdentityProxy {
  readonly world: PipelineWorld;
  readonly port: number;
  readonly seen: Seen[];
  /** Instead of a small object. */
  answerWith: Answer | undefined;
  /** Headers of that name in the only request that was seen. */
  valuesSeen(name: string): readonly string[];
  /** A connection that shows `certificate`. */
  connect(certificate?: TestClientCertificate, more?: ConnectionOptions): Promise<TLSSocket>;
  /** One HTTP/1.1 request, byte for byte, on `socket` or a connection of its own. */
  raw(lines: readonly string[], options?: CallOptions): Promise<Answer>;
  http2(headers: OutgoingHttpHeaders, certificate?: TestClientCertificate): Promise<Answer>;
  close(): Promise<void>;
}

export interface CallOptions {
  readonly certificate?: TestClientCertificate | undefined;
  readonly socket?: TLSSocket;
}

export async function startIdentityProxy(options: WorldOptions = {}): Promise<IdentityProxy> {
  const world = await createPipelineWorld(options);
  const authority = await testAuthority("kube-apiserver");
  const seen: Seen[] = [];
  const upstream = await startUpstream(
    await testServingCertificate(authority),
    seen,
    () => running.answerWith ?? { status: 200, body: SERVED },
  );
  const servingAuthority = await testAuthority("proxy-serving");
  world.state.proxyServingCertificate.set(await testServingCertificate(servingAuthority));
  const proxy = createImpersonationProxy({
    state: world.state,
    endpoint: {
      serverUrl: `https://127.0.0.1:${(upstream.address() as AddressInfo).port}`,
      certificateAuthority: { text: authority.certificatePem },
    },
    pipeline: world.pipeline,
    clock: world.clock,
    log: silentLogger,
    host: "127.0.0.1",
  });
  const { port } = await proxy.start({ port: 0 });
  const tls = (
    certificate: TestClientCertificate | undefined,
    more: ConnectionOptions,
  ): ConnectionOptions => ({
    host: "127.0.0.1",
    port,
    ca: [servingAuthority.certificatePem],
    servername: "localhost",
    ...(certificate === undefined ? {} : { cert: certificate.cert, key: certificate.key }),
    ...more,
  });
  const connect = (
    certificate?: TestClientCertificate,
    more: ConnectionOptions = { ALPNProtocols: ["http/1.1"] },
  ): Promise<TLSSocket> =>
    new Promise((resolve, reject) => {
      const socket = connectTls(tls(certificate, more), () => resolve(socket));
      socket.once("error", reject);
    });
  const running: IdentityProxy = {
    world,
    port,
    seen,
    answerWith: undefined,
    valuesSeen: (name) => {
      const [only, ...more] = seen;
      if (only === undefined || more.length > 0) {
        throw new Error(`${seen.length} requests were seen`);
      }
      return only.headers.filter(([key]) => key === name).map(([, value]) => value);
    },
    connect,
    raw: async (lines, { certificate, socket } = {}) => {
      const used = socket ?? (await connect(certificate));
      const answer = readAnswer(used);
      used.write(Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"));
      try {
        return await answer;
      } finally {
        if (socket === undefined) {
          used.destroy();
        }
      }
    },
    http2: async (headers, certificate) => {
      const session = connectHttp2(`https://127.0.0.1:${port}`, {
        ...tls(certificate, { ALPNProtocols: ["h2"] }),
      });
      try {
        return await new Promise<Answer>((resolve, reject) => {
          session.once("error", reject);
          const stream = session.request(headers, { endStream: true });
          let status = 0;
          const chunks: Buffer[] = [];
          stream.on("response", (answer) => {
            status = answer[":status"] ?? 0;
          });
          stream.on("data", (chunk: Buffer) => chunks.push(chunk));
          stream.on("error", reject);
          stream.on("end", () => resolve({ status, body: Buffer.concat(chunks).toString() }));
        });
      } finally {
        session.destroy();
      }
    },
    close: async () => {
      await proxy.stop();
      world.pipeline.close();
      upstream.close();
    },
  };
  return running;
}

const SERVED = '{"served":true}';

/** Watches get a line and stay open; everything else is answered with a small object. */
async function startUpstream(
  pair: { readonly certificatePem: string; readonly privateKeyPem: string },
  seen: Seen[],
  answer: () => Answer,
): Promise<Http2SecureServer> {
  const record = ({
    method,
    url,
    rawHeaders,
  }: Pick<Http2ServerRequest, "method" | "url" | "rawHeaders">): void => {
    const headers: [string, string][] = [];
    for (let index = 0; index < rawHeaders.length; index += 2) {
      const name = rawHeaders[index] ?? "";
      if (!name.startsWith(":")) {
        headers.push([name.toLowerCase(), rawHeaders[index + 1] ?? ""]);
      }
    }
    seen.push({ method, target: url, headers });
  };
  const server = createSecureServer(
    { allowHTTP1: true, cert: pair.certificatePem, key: pair.privateKeyPem },
    (request, response) => {
      record(request);
      if (request.url.includes("watch=1")) {
        response.writeHead(200, { "Content-Type": "application/json" });
        response.write('{"type":"BOOKMARK"}\n');
      } else {
        const { status, body } = answer();
        response.writeHead(status, { "Content-Type": "application/json", "Content-Length": body.length });
        response.end(body);
      }
    },
  );
  server.on("upgrade", (request: Http2ServerRequest, socket: Duplex) => {
    record(request);
    socket.on("error", () => {});
    // Sessions echo.
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${request.headers.upgrade}\r\n\r\n`,
    );
    socket.pipe(socket);
  });
  // Node's own limits are not the kube-apiserver's (H6).
  Object.assign(server, { maxHeadersCount: 0, maxHeaderSize: 1024 * 1024 });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return server;
}

/** The next whole answer on a connection that has a length or ends. */
function readAnswer(socket: TLSSocket): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let text = "";
    const done = (): void => {
      socket.off("data", onData);
      socket.off("close", onClose);
      const [head, body] = splitOnce(text, "\r\n\r\n");
      resolve({ status: Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0), body: body ?? "" });
    };
    const onData = (chunk: Buffer): void => {
      text += chunk.toString("latin1");
      const [head, body] = splitOnce(text, "\r\n\r\n");
      const length = /^content-length: (\d+)$/im.exec(head)?.[1];
      if (body !== undefined && length !== undefined && body.length >= Number(length)) {
        done();
      }
    };
    const onClose = (): void => (text === "" ? reject(new Error("closed without an answer")) : done());
    socket.on("data", onData);
    socket.once("close", onClose);
  });
}

function splitOnce(text: string, separator: string): readonly [string, string?] {
  const at = text.indexOf(separator);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + separator.length)];
}
