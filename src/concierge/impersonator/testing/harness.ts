import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import type { ClientHttp2Session } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { connect, createServer as createTlsServer } from "node:tls";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { createManualClock, systemClock } from "../../../clock.ts";
import type { Clock, ManualClock } from "../../../clock.ts";
import { createCertificateAuthority, issueServingCertificate } from "../../../pki/certificate-authority.ts";
import { createClientCertificateIssuer } from "../../../pki/client-certificate.ts";
import type { KeyPairPem } from "../../../pki/key-pair.ts";
import { silentLogger } from "../../../telemetry/log.ts";
import type { KeyPair, RequestHeaderConfiguration } from "../../state/concierge-state.ts";
import { createHolder } from "../../state/holder.ts";
import type { Holder } from "../../state/holder.ts";
import type { ProxySettings, ProxyState } from "../../state/proxy.ts";
import { createImpersonationProxy } from "../impersonation-proxy.ts";
import type { ImpersonationProxy, ImpersonationProxyOptions } from "../impersonation-proxy.ts";
import { refuseForm } from "../request-form.ts";
import type { InboundRequest, Outcome, ProxyPipeline, Verdict } from "../proxied-request.ts";

const HOUR = 3_600_000;

/** A CA of a test, valid for a day around now. */
export async function testAuthority(commonName: string): Promise<KeyPairPem> {
  const now = systemClock.now();
  return await createCertificateAuthority({
    commonName,
    notBefore: new Date(now - 24 * HOUR),
    notAfter: new Date(now + 24 * HOUR),
  });
}

export async function testServingCertificate(authority: KeyPairPem): Promise<KeyPair> {
  return await issueServingCertificate(authority, {
    dnsNames: ["localhost"],
    ipAddresses: ["127.0.0.1"],
    notBefore: new Date(systemClock.now() - HOUR),
    notAfter: new Date(systemClock.now() + HOUR),
  });
}

export async function testClientCertificate(
  authority: KeyPairPem,
  username: string,
): Promise<{ readonly cert: string; readonly key: string }> {
  const issued = await createClientCertificateIssuer(authority).issue({
    username,
    groups: [],
    notBefore: new Date(systemClock.now() - HOUR),
    notAfter: new Date(systemClock.now() + HOUR),
  });
  return { cert: issued.certificatePem, key: issued.privateKeyPem ?? "" };
}

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

export const IDENTITY = [
  "Authorization",
  "Bearer proxy-token",
  "Impersonate-User",
  "alice",
  "Impersonate-Group",
  "developers",
  "Impersonate-Group",
  "system:authenticated",
];

/** The first step of all, and then everybody is let in as `IDENTITY`; it remembers who passed that step. */
export interface RecordingPipeline extends ProxyPipeline {
  readonly began: InboundRequest[];
  readonly outcomes: Outcome[];
  readonly streams: number[];
  /** Resolves with the next outcome, or the `count`th from the start. */
  outcome(count: number): Promise<Outcome>;
  /** Whose header names count. */
  follow(headers: () => RequestHeaderConfiguration | undefined): void;
  /** Cuts what runs. */
  cutAll(): void;
}

export function createRecordingPipeline(
  decide: (request: InboundRequest) => Verdict | Promise<Verdict> = (request) => forwardVerdict(request),
): RecordingPipeline {
  let frontProxy = (): RequestHeaderConfiguration | undefined => undefined;
  const began: InboundRequest[] = [];
  const outcomes: Outcome[] = [];
  const streams: number[] = [];
  const cuts = new Set<AbortController>();
  const waiting = new Set<() => void>();
  return {
    began,
    outcomes,
    streams,
    outcome: (count) =>
      new Promise((resolve) => {
        const check = (): void => {
          const outcome = outcomes[count - 1];
          if (outcome !== undefined) {
            waiting.delete(check);
            resolve(outcome);
          }
        };
        waiting.add(check);
        check();
      }),
    follow: (headers) => {
      frontProxy = headers;
    },
    cutAll: () => cuts.forEach((cut) => cut.abort()),
    begin: (request) => {
      const refusal = refuseForm(request, frontProxy());
      if (refusal === undefined) {
        began.push(request);
      }
      const cut = new AbortController();
      cuts.add(cut);
      let finished = false;
      return {
        auditID: `audit-${began.length}`,
        verdict: Promise.resolve(refusal === undefined ? decide(request) : { kind: "refuse", refusal }),
        cut: cut.signal,
        streamStarted: (status) => streams.push(status),
        finished: (outcome) => {
          if (finished) {
            throw new TypeError("finished twice");
          }
          finished = true;
          outcomes.push(outcome);
          cuts.delete(cut);
          [...waiting].forEach((check) => check());
        },
      };
    },
  };
}

export function forwardVerdict(
  request: InboundRequest,
  overrides: Partial<Extract<Verdict, { kind: "forward" }>["forward"]> = {},
): Verdict {
  return {
    kind: "forward",
    forward: {
      identityHeaders: IDENTITY,
      auditID: "11111111-2222-3333-4444-555555555555",
      longRunning: request.upgrade || /[?&]watch=(?:true|1)|\/log\?|\/proxy\//.test(request.target),
      deadlineMilliseconds: 60_000,
      marksExchange: false,
      ...overrides,
    },
  };
}

export interface ProxyHarness {
  readonly proxy: ImpersonationProxy;
  readonly port: number;
  readonly pipeline: RecordingPipeline;
  readonly servingAuthority: KeyPairPem;
  readonly clientAuthority: KeyPairPem;
  readonly frontProxyAuthority: KeyPairPem;
  readonly servingCertificate: Holder<KeyPair | undefined>;
  readonly clientCaPem: Holder<string | undefined>;
  readonly requestHeader: Holder<RequestHeaderConfiguration | undefined>;
  readonly proxySettings: Holder<ProxySettings | undefined>;
  readonly proxyState: Holder<ProxyState>;
  tls(options?: ConnectionOptions): Promise<TLSSocket>;
  /** Writes bytes on a new HTTP/1.1 connection and answers all that comes back until its end. */
  raw(bytes: string | Buffer): Promise<string>;
  http2(options?: ConnectionOptions & { readonly settings?: object }): Promise<ClientHttp2Session>;
  close(): Promise<void>;
}

export interface ProxyHarnessOptions extends Partial<
  Omit<ImpersonationProxyOptions, "endpoint" | "pipeline" | "state">
> {
  readonly upstream: Pick<RawUpstream, "url" | "caPem">;
  readonly pipeline?: RecordingPipeline;
  readonly withoutServingCertificate?: boolean;
}

export async function startProxy(options: ProxyHarnessOptions): Promise<ProxyHarness> {
  const { upstream, withoutServingCertificate, ...rest } = options;
  const [servingAuthority, clientAuthority, frontProxyAuthority] = await Promise.all([
    testAuthority("serving"),
    testAuthority("cluster-ca"),
    testAuthority("front-proxy-ca"),
  ]);
  const pipeline = options.pipeline ?? createRecordingPipeline();
  const pair = await testServingCertificate(servingAuthority);
  const servingCertificate = createHolder<KeyPair | undefined>(
    withoutServingCertificate === true ? undefined : pair,
  );
  const clientCaPem = createHolder<string | undefined>(clientAuthority.certificatePem);
  const requestHeader = createHolder<RequestHeaderConfiguration | undefined>({
    clientCaPem: frontProxyAuthority.certificatePem,
    allowedNames: ["front-proxy-client"],
    usernameHeaders: ["x-remote-user"],
    uidHeaders: ["x-remote-uid"],
    groupHeaders: ["x-remote-group"],
    extraHeaderPrefixes: ["x-remote-extra-"],
  });
  pipeline.follow(() => requestHeader.current);
  const proxySettings = createHolder<ProxySettings | undefined>(undefined);
  const proxyState = createHolder<ProxyState>({ phase: "stopped" });
  const proxy = createImpersonationProxy({
    clock: systemClock,
    log: silentLogger,
    host: "127.0.0.1",
    ...rest,
    pipeline,
    state: {
      proxyServingCertificate: servingCertificate,
      proxySignerTrust: createHolder<string | undefined>(undefined),
      clientCaPem,
      requestHeader,
      proxySettings,
      proxyState,
    },
    endpoint: { serverUrl: upstream.url, certificateAuthority: { text: upstream.caPem } },
  });
  const { port } = await proxy.start({ port: 0 });
  const tls = async (extra: ConnectionOptions = {}): Promise<TLSSocket> => {
    const socket = connect({
      host: "127.0.0.1",
      port,
      servername: "localhost",
      ca: [servingAuthority.certificatePem],
      ALPNProtocols: ["http/1.1"],
      ...extra,
    });
    socket.on("error", () => {});
    await new Promise<void>((resolve, reject) => {
      socket.once("secureConnect", resolve);
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("closed in the handshake")));
    });
    return socket;
  };
  return {
    proxy,
    port,
    pipeline,
    servingAuthority,
    clientAuthority,
    frontProxyAuthority,
    servingCertificate,
    clientCaPem,
    requestHeader,
    proxySettings,
    proxyState,
    tls,
    raw: async (bytes) => {
      const socket = await tls();
      const chunks: Buffer[] = [];
      socket.on("data", (chunk: Buffer) => chunks.push(chunk));
      const closed = new Promise<void>((resolve) => {
        socket.once("close", () => resolve());
      });
      socket.write(bytes);
      await closed;
      return Buffer.concat(chunks).toString("latin1");
    },
    http2: async ({ settings, ...extra } = {}) => {
      const socket = await tls({ ALPNProtocols: ["h2"], ...extra });
      const session = connectHttp2("https://localhost", {
        createConnection: () => socket,
        maxSendHeaderBlockLength: 4 * 1024 * 1024,
        maxHeaderListPairs: 40_000,
        settings: { maxHeaderListSize: 4 * 1024 * 1024, ...settings },
      } as object);
      session.on("error", () => {});
      return session;
    },
    close: async () => {
      await proxy.stop();
    },
  };
}

export interface Http2Answer {
  readonly status: number;
  /** Pairs without pseudo headers. */
  readonly headers: readonly string[];
  readonly body: string;
  readonly resetCode: number;
}

/** One request on a session; `headers` are pairs, pseudo headers first. */
export function askHttp2(
  session: ClientHttp2Session,
  headers: readonly string[],
  body?: string | Buffer,
): Promise<Http2Answer> {
  return new Promise((resolve) => {
    const stream = session.request(headers, { endStream: body === undefined });
    let status = 0;
    let rawHeaders: string[] = [];
    const chunks: Buffer[] = [];
    stream.on("response", ((_headers: object, _flags: number, raw: string[]) => {
      status = Number(raw[raw.indexOf(":status") + 1]);
      rawHeaders = raw.slice(2);
    }) as never);
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", () => {});
    stream.on("close", () =>
      resolve({
        status,
        headers: rawHeaders,
        body: Buffer.concat(chunks).toString("latin1"),
        resetCode: stream.rstCode ?? 0,
      }),
    );
    if (body !== undefined) {
      stream.end(body);
    }
  });
}

/** Pseudo headers of a request. */
export function pseudo(path: string, method = "GET"): string[] {
  return [":method", method, ":path", path, ":scheme", "https", ":authority", "kubernetes"];
}

export function get(path: string, headers: readonly string[] = []): string {
  return `GET ${path} HTTP/1.1\r\nHost: kubernetes\r\n${headers.map((line) => `${line}\r\n`).join("")}\r\n`;
}

export { createManualClock };
export type { Clock, ManualClock };
