// The servers of the proxy benches: ours, those it is measured against, and one that answers.
import { createSecureServer } from "node:http2";
import { Agent, request as httpsRequest } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { connect, createServer as createTlsServer } from "node:tls";
import { systemClock } from "../../src/clock.ts";
import { createImpersonationProxy } from "../../src/concierge/impersonator/impersonation-proxy.ts";
import { createHolder } from "../../src/concierge/state/holder.ts";
import type { ProxyState } from "../../src/concierge/state/proxy.ts";
import { silentLogger } from "../../src/telemetry/log.ts";
import { benchPipeline } from "./proxy-pipeline.ts";
import type { Address, BenchMaterial } from "./proxy-bench.ts";

function servingTls({ serving }: BenchMaterial): { key: string; cert: string; minVersion: "TLSv1.3" } {
  return { key: serving.privateKeyPem, cert: serving.certificatePem, minVersion: "TLSv1.3" };
}

function portOf(server: { address(): unknown }): number {
  return (server.address() as AddressInfo).port;
}

/** Stands for the kube-apiserver where that would be the slowest part. */
export async function serveUpstream(material: BenchMaterial, object: string): Promise<number> {
  const headers = {
    "audit-id": "0e3fb0e0-7a13-4a8a-8d36-0d0f5a8ff0d3",
    "cache-control": "no-cache, private",
    "content-type": "application/json",
    "x-kubernetes-pf-flowschema-uid": "0e3fb0e0-7a13-4a8a-8d36-0d0f5a8ff0d3",
    "x-kubernetes-pf-prioritylevel-uid": "0e3fb0e0-7a13-4a8a-8d36-0d0f5a8ff0d3",
  };
  const body = Buffer.from(object);
  const server = createSecureServer({
    ...servingTls(material),
    allowHTTP1: true,
    settings: { maxConcurrentStreams: 100 },
  });
  server.on("request", (_incoming, outgoing) => {
    const response = outgoing as unknown as ServerResponse;
    response.writeHead(200, { ...headers, "content-length": body.length });
    response.end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return portOf(server);
}

/** A proxy without a single step, as anybody would write it first. */
export async function serveBarePipe(material: BenchMaterial, upstream: Address): Promise<number> {
  const target = new Agent({ keepAlive: true });
  const handle = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const headers = Object.fromEntries(
      Object.entries(incoming.headers).filter(([name]) => !name.startsWith(":")),
    );
    const forwarded = httpsRequest(
      {
        agent: target,
        host: upstream.host,
        port: upstream.port,
        ca: upstream.caPem,
        method: incoming.method ?? "GET",
        path: incoming.url,
        headers: { ...headers, host: "kubernetes", authorization: `Bearer ${upstream.token}` },
      },
      (response) => {
        const back = { ...response.headers };
        for (const name of ["connection", "keep-alive", "transfer-encoding"]) {
          delete back[name];
        }
        outgoing.writeHead(response.statusCode ?? 500, back);
        outgoing.flushHeaders();
        response.pipe(outgoing);
      },
    );
    forwarded.on("error", () => outgoing.destroy());
    outgoing.on("close", () => forwarded.destroy());
    incoming.pipe(forwarded);
  };
  const server = createSecureServer(
    { ...servingTls(material), allowHTTP1: true, requestCert: true, rejectUnauthorized: false },
    handle as never,
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return portOf(server);
}

/** Bytes in, bytes out: what TLS alone costs. */
export async function serveBytePipe(material: BenchMaterial, upstream: Address): Promise<number> {
  const server = createTlsServer({ ...servingTls(material), ALPNProtocols: ["h2", "http/1.1"] }, (socket) => {
    const other = connect({
      host: upstream.host,
      port: upstream.port,
      ca: upstream.caPem,
      cert: material.client.certificatePem,
      key: material.client.privateKeyPem,
      ALPNProtocols: [socket.alpnProtocol === "h2" ? "h2" : "http/1.1"],
    });
    for (const each of [socket, other]) {
      each.setNoDelay(true);
      each.on("error", () => {});
    }
    socket.pipe(other);
    other.pipe(socket);
    socket.on("close", () => other.destroy());
    other.on("close", () => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return portOf(server);
}

export async function serveLanyard(material: BenchMaterial, upstream: Address): Promise<number> {
  const proxy = createImpersonationProxy({
    state: {
      proxyServingCertificate: createHolder(material.serving),
      proxySignerTrust: createHolder<string | undefined>(undefined),
      clientCaPem: createHolder<string | undefined>(material.clientCaPem),
      requestHeader: createHolder(undefined),
      proxySettings: createHolder(undefined),
      proxyState: createHolder<ProxyState>({ phase: "stopped" }),
    },
    endpoint: {
      serverUrl: `https://${upstream.host}:${upstream.port}`,
      certificateAuthority: { text: upstream.caPem },
    },
    pipeline: benchPipeline(material.clientCaPem, upstream.token),
    clock: systemClock,
    log: silentLogger,
    host: "127.0.0.1",
  });
  return (await proxy.start({ port: 0 })).port;
}
