import { createServer } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "../../clock.ts";
import { createCertificateAuthority } from "../../pki/certificate-authority.ts";
import type { KeyPairPem } from "../../pki/key-pair.ts";
import { serverTlsOptions, tlsProfiles } from "../../tls/profiles.ts";
import { healthReport, logCheck, pingCheck } from "../api/health.ts";
import { encodeStatus, serviceUnavailable } from "../request/status.ts";
import type { ReadinessCheck } from "../state/readiness.ts";

/** What answers on the API's port while the API itself cannot be built yet. */
export interface WaitingServer {
  readonly port: number;
  /** From now on `/readyz` fails by these names instead; their reasons are never told. */
  setMissing(names: readonly string[]): void;
  /** Ends it at once: the port is free then. */
  close(): Promise<void>;
}

const TIMEOUT_MILLISECONDS = 10_000;
const MAXIMUM_CONNECTIONS = 32;
const DAY_MILLISECONDS = 24 * 60 * 60 * 1000;

/**
 * `/healthz` and `/livez` answer 200, so that nobody restarts a process that waits for an administrator; `/readyz` 500, with
 * one check `preflight/…` per thing that is missing; everything else 503. TLS 1.3 with a certificate that nobody is meant to
 * trust, as probes do not look at it. Rejects when the port cannot be had.
 */
export async function startWaitingServer(options: {
  readonly host: string;
  readonly port: number;
  readonly clock: Pick<Clock, "now">;
}): Promise<WaitingServer> {
  const { host, port, clock } = options;
  let missing: readonly string[] = [];
  const basic = [pingCheck, logCheck];
  const checksOf = (endpoint: string): readonly ReadinessCheck[] =>
    endpoint === "readyz"
      ? [...basic, ...missing.map((name) => ({ name: `preflight/${name}`, problem: () => "missing" }))]
      : basic;

  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const url = URL.parse(request.url ?? "", "https://localhost");
    const endpoint = ["healthz", "livez", "readyz"].find((each) => url?.pathname === `/${each}`);
    // One request a connection: the server that comes next on this port must not be missed.
    response.setHeader("Connection", "close");
    if (url === null || endpoint === undefined || request.method !== "GET") {
      response.writeHead(503, { "Content-Type": "application/json", "Retry-After": "1" });
      response.end(encodeStatus(serviceUnavailable("the server is waiting for what it needs to start")));
      return;
    }
    const { text, failures } = healthReport(endpoint, checksOf(endpoint), url.searchParams);
    response.writeHead(failures === undefined ? 200 : 500, {
      "Content-Type": "text/plain; charset=utf-8",
      "X-Content-Type-Options": "nosniff",
    });
    response.end(failures === undefined ? text : `${text}\n`);
  };

  const { certificatePem, privateKeyPem } = await temporaryCertificate(clock.now());
  const server = createServer(
    {
      ...serverTlsOptions(tlsProfiles.secureServer, {
        certificateChainPem: certificatePem,
        privateKeyPem,
        clientCaPem: certificatePem,
        alpnProtocols: ["http/1.1"],
      }),
      handshakeTimeout: TIMEOUT_MILLISECONDS,
      headersTimeout: TIMEOUT_MILLISECONDS,
      requestTimeout: TIMEOUT_MILLISECONDS,
    },
    answer,
  );
  server.maxConnections = MAXIMUM_CONNECTIONS;
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    setMissing: (names) => {
      missing = names;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function temporaryCertificate(now: number): Promise<KeyPairPem> {
  return createCertificateAuthority({
    commonName: "lanyard-concierge waiting to start",
    notBefore: new Date(now - DAY_MILLISECONDS),
    notAfter: new Date(now + 365 * DAY_MILLISECONDS),
  });
}
