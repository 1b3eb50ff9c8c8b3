import { connect as connectHttp2 } from "node:http2";
import type { ClientHttp2Session } from "node:http2";
import { connect } from "node:tls";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import { createManualClock, systemClock } from "../../../clock.ts";
import type { Clock, ManualClock } from "../../../clock.ts";
import type { KeyPairPem } from "../../../pki/key-pair.ts";
import { silentLogger } from "../../../telemetry/log.ts";
import type { KeyPair, RequestHeaderConfiguration } from "../../state/concierge-state.ts";
import { createHolder } from "../../state/holder.ts";
import type { Holder } from "../../state/holder.ts";
import type { ProxySettings, ProxyState } from "../../state/proxy.ts";
import { createImpersonationProxy } from "../impersonation-proxy.ts";
import type { ImpersonationProxy, ImpersonationProxyOptions } from "../impersonation-proxy.ts";
import { testAuthority, testServingCertificate } from "./authorities.ts";
import type { RawUpstream } from "./raw-upstream.ts";
import { createRecordingPipeline } from "./recording-pipeline.ts";
import type { RecordingPipeline } from "./recording-pipeline.ts";

export { testAuthority, testClientCertificate, testServingCertificate } from "./authorities.ts";
export { always, OK, startRawUpstream } from "./raw-upstream.ts";
export type { RawUpstream, RawUpstreamOptions } from "./raw-upstream.ts";
export { createRecordingPipeline, forwardVerdict, IDENTITY } from "./recording-pipeline.ts";
export type { RecordingPipeline } from "./recording-pipeline.ts";

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
