import { X509Certificate } from "node:crypto";
import type { Readable } from "node:stream";
import { createSecureContext } from "node:tls";

import { Agent } from "undici";

import type { Clock } from "../clock.ts";
import { LanyardError, messageOf } from "../errors.ts";
import type { Logger } from "../telemetry/log.ts";
import { clientTlsOptions, tlsProfiles } from "../tls/profiles.ts";
import type { KubernetesEndpoint } from "./configuration.ts";
import { createTextSource, type TextSource } from "./text-source.ts";

/** Short calls and watches never share connections, so that no watch can starve a call (engineering.md R4). */
export type ConnectionPool = "short" | "watch";

/** What is counted; implemented by src/telemetry. `connection` with +1 and -1, `calls` likewise. */
export interface KubernetesClientMetrics {
  /** Open TLS connections. */
  connection(pool: ConnectionPool, change: 1 | -1): void;
  /** Calls that wait or run; above the number of connections they queue. */
  inFlight(pool: ConnectionPool, change: 1 | -1): void;
  /** One call ended; `status` 0 when there was no answer. */
  ended(pool: ConnectionPool, method: string, status: number, seconds: number): void;
}

export interface TransportRequest {
  readonly pool: ConnectionPool;
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly signal: AbortSignal;
}

export interface TransportResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readable;
}

/** Connections to one API server, replaced whenever its CA or our client certificate changes. */
export interface Transport {
  /** `host:port`, for messages. */
  readonly host: string;
  /** Throws what undici throws. */
  send(request: TransportRequest): Promise<TransportResponse>;
  /** Looks at the CA and certificate files before the next call: after a failed handshake they may have changed. */
  expireMaterial(): void;
  /** Ends every connection at once. */
  close(): Promise<void>;
}

interface Generation {
  readonly material: string;
  readonly agents: Readonly<Record<ConnectionPool, Agent>>;
  retired: boolean;
}

export interface TransportOptions {
  readonly endpoint: KubernetesEndpoint;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: KubernetesClientMetrics | undefined;
  /** Upper bound of connections for short calls; more calls wait. */
  readonly shortConnections: number;
}

export function createTransport(options: TransportOptions): Transport {
  const { endpoint, clock, log, metrics, shortConnections } = options;
  const url = new URL(endpoint.serverUrl);
  if (url.protocol !== "https:") {
    throw new TypeError("the API server's URL must start with https://");
  }
  const prefix = url.pathname.replace(/\/+$/, "");
  const sources = {
    ca: source(endpoint.certificateAuthority),
    certificate: source(endpoint.clientCertificate?.certificate),
    key: source(endpoint.clientCertificate?.key),
  };
  let generation: Generation | undefined;
  let closed = false;
  const draining = new Set<Agent>();

  function source(value: KubernetesEndpoint["certificateAuthority"]): TextSource | undefined {
    return value === undefined ? undefined : createTextSource(value, { clock });
  }

  function build(
    ca: string | undefined,
    certificate: string | undefined,
    key: string | undefined,
  ): Generation {
    if (ca !== undefined) {
      assertCertificates(ca);
    }
    const tls = {
      ...clientTlsOptions(tlsProfiles.secureClient, { caPem: ca }),
      ...(certificate === undefined || key === undefined ? {} : { cert: certificate, key }),
    };
    try {
      createSecureContext(tls);
    } catch (error) {
      throw invalidMaterial(`the TLS material for the API server cannot be used: ${messageOf(error)}`);
    }
    const agent = (pool: ConnectionPool): Agent => {
      const created = new Agent({
        allowH2: false,
        pipelining: 1,
        bodyTimeout: 0,
        headersTimeout: 65_000,
        maxHeaderSize: 1024 * 1024,
        // Below the 90 s after which a kube-apiserver drops an idle connection.
        keepAliveTimeout: 60_000,
        keepAliveMaxTimeout: 85_000,
        connections: pool === "short" ? shortConnections : null,
        connect: {
          ...tls,
          ...(endpoint.tlsServerName === undefined ? {} : { servername: endpoint.tlsServerName }),
          timeout: 10_000,
          keepAlive: true,
          keepAliveInitialDelay: 30_000,
          // No resumption: each connection verifies the server's certificate anew.
          maxCachedSessions: 0,
        },
      });
      created.on("connect", () => metrics?.connection(pool, 1));
      created.on("disconnect", () => metrics?.connection(pool, -1));
      return created;
    };
    return {
      material: materialText(ca, certificate, key),
      agents: { short: agent("short"), watch: agent("watch") },
      retired: false,
    };
  }

  async function current(): Promise<Generation> {
    const [ca, certificate, key] = await Promise.all([
      sources.ca?.read(),
      sources.certificate?.read(),
      sources.key?.read(),
    ]);
    if (closed) {
      throw new LanyardError({ code: "kubernetes.closed", message: "the Kubernetes client is closed" });
    }
    if (generation?.material === materialText(ca, certificate, key)) {
      return generation;
    }
    let next: Generation;
    try {
      next = build(ca, certificate, key);
    } catch (error) {
      if (generation === undefined) {
        throw error;
      }
      // A certificate and its key are two files: half of a rotation is not a reason to stop.
      log.warning("keeping the TLS material for the API server as the new one cannot be used", {
        error: messageOf(error),
      });
      return generation;
    }
    const previous = generation;
    generation = next;
    if (previous !== undefined) {
      log.info("TLS material for the API server changed");
      previous.retired = true;
      for (const agent of Object.values(previous.agents)) {
        draining.add(agent);
        void agent.close().finally(() => draining.delete(agent));
      }
    }
    return next;
  }

  return {
    host: url.host,
    send: async (request) => {
      let using = await current();
      while (using.retired) {
        using = await current();
      }
      const response = await using.agents[request.pool].request({
        origin: url.origin,
        path: prefix + request.path,
        method: request.method,
        headers: request.headers,
        body: request.body ?? null,
        signal: request.signal,
      });
      return { status: response.statusCode, headers: response.headers, body: response.body };
    },
    expireMaterial: () => {
      sources.ca?.expire();
      sources.certificate?.expire();
      sources.key?.expire();
    },
    close: async () => {
      closed = true;
      const agents = [...draining, ...Object.values(generation?.agents ?? {})];
      generation = undefined;
      await Promise.all(agents.map((agent) => agent.destroy()));
    },
  };
}

function materialText(...parts: readonly (string | undefined)[]): string {
  return parts.map((part) => part ?? "").join("\0");
}

/**
 * Node takes an empty `ca` for "trust the public roots" (engineering.md T6), and half a file for one that trusts nobody:
 * neither may come from a file that is just being written.
 */
function assertCertificates(pem: string): void {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0 || blocks.length !== pem.split("-----BEGIN ").length - 1) {
    throw invalidMaterial("the certificate authority of the API server is not a PEM bundle of certificates");
  }
  for (const block of blocks) {
    try {
      void new X509Certificate(block);
    } catch (error) {
      throw invalidMaterial(
        `the certificate authority of the API server cannot be read: ${messageOf(error)}`,
      );
    }
  }
}

function invalidMaterial(message: string): LanyardError {
  return new LanyardError({ code: "kubernetes.configuration.invalid", message });
}
