import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Duplex } from "node:stream";

import type { Clock } from "../clock.ts";
import { LanyardError } from "../errors.ts";
import { clientTlsOptions, tlsProfiles } from "../tls/profiles.ts";
import type { KubernetesEndpoint } from "./configuration.ts";
import { apiErrorOf } from "./status-response.ts";
import { createTextSource, type TextSource } from "./text-source.ts";

/** A connection that speaks another protocol from here on. */
export interface UpgradedConnection {
  readonly socket: Duplex;
  /** What came behind the answer already. */
  readonly head: Buffer;
  readonly headers: IncomingMessage["headers"];
}

/** POSTs to a path with an upgrade; a connection of its own per call. */
export interface Upgrader {
  /** `host:port`, for messages. */
  readonly host: string;
  /**
   * Throws what the network throws, `KubernetesApiError` for an answer that is a `Status`, and
   * `kubernetes.exec.refused` for any other.
   */
  upgrade(request: {
    readonly path: string;
    readonly headers: Readonly<Record<string, string | readonly string[]>>;
    readonly signal: AbortSignal;
  }): Promise<UpgradedConnection>;
  /** Looks at the files anew before the next call: after a failed handshake they may have changed. */
  expireMaterial(): void;
}

const MAXIMUM_REFUSAL_BYTES = 64 * 1024;

/** Speaks TLS 1.3 only (contract 8.1) and shows the endpoint's token, read afresh once when it is not accepted. */
export function createUpgrader(options: {
  readonly endpoint: KubernetesEndpoint;
  readonly clock: Clock;
  readonly userAgent: string;
}): Upgrader {
  const { endpoint, clock, userAgent } = options;
  const url = new URL(endpoint.serverUrl);
  if (url.protocol !== "https:") {
    throw new TypeError("the API server's URL must start with https://");
  }
  const prefix = url.pathname.replace(/\/+$/, "");
  const source = (value: KubernetesEndpoint["token"]): TextSource | undefined =>
    value === undefined ? undefined : createTextSource(value, { clock });
  const sources = {
    ca: source(endpoint.certificateAuthority),
    certificate: source(endpoint.clientCertificate?.certificate),
    key: source(endpoint.clientCertificate?.key),
    token: source(endpoint.token),
  };

  type UpgradeRequest = Parameters<Upgrader["upgrade"]>[0];
  type Answer =
    | { readonly upgraded: UpgradedConnection }
    | { readonly status: number; readonly headers: IncomingMessage["headers"]; readonly text: string };

  async function send(request: UpgradeRequest, token: string | undefined): Promise<Answer> {
    const [caPem, cert, key] = await Promise.all([
      sources.ca?.read(),
      sources.certificate?.read(),
      sources.key?.read(),
    ]);
    if (endpoint.certificateAuthority !== undefined && !caPem?.includes("-----BEGIN CERTIFICATE-----")) {
      throw new LanyardError({
        code: "kubernetes.configuration.invalid",
        message: "the certificate authority of the API server is not a PEM bundle of certificates",
      });
    }
    return new Promise((resolve, reject) => {
      const outgoing = httpsRequest(
        {
          ...clientTlsOptions(tlsProfiles.secureClient, { caPem }),
          ...(cert === undefined || key === undefined ? {} : { cert, key }),
          ...(endpoint.tlsServerName === undefined ? {} : { servername: endpoint.tlsServerName }),
          host: url.hostname.replace(/^\[|\]$/g, ""),
          port: url.port === "" ? 443 : Number(url.port),
          method: "POST",
          path: prefix + request.path,
          agent: false,
          signal: request.signal,
          headers: {
            host: url.host,
            "user-agent": userAgent,
            "content-length": "0",
            ...Object.fromEntries(
              Object.entries(request.headers).map(([name, value]) => [
                name,
                typeof value === "string" ? value : [...value],
              ]),
            ),
            ...(token === undefined || token === "" ? {} : { authorization: `Bearer ${token}` }),
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          let size = 0;
          response.on("data", (chunk: Buffer) => {
            size += chunk.length;
            if (size > MAXIMUM_REFUSAL_BYTES) {
              response.destroy(new Error("the answer is too long"));
            } else {
              chunks.push(chunk);
            }
          });
          response.on("error", reject);
          response.on("end", () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              text: Buffer.concat(chunks).toString("utf8"),
            }),
          );
        },
      );
      outgoing.on("upgrade", ({ headers }, socket, head) => resolve({ upgraded: { socket, head, headers } }));
      outgoing.on("error", reject);
      outgoing.end();
    });
  }

  return {
    host: url.host,
    upgrade: async (request) => {
      const first = (await sources.token?.read())?.trim();
      let answer = await send(request, first);
      if ("status" in answer && answer.status === 401 && sources.token !== undefined) {
        // The kubelet may have renewed the token since it was read.
        sources.token.expire();
        const second = (await sources.token.read()).trim();
        if (second !== first) {
          answer = await send(request, second);
        }
      }
      if ("upgraded" in answer) {
        return answer.upgraded;
      }
      if (isStatus(answer.text)) {
        throw apiErrorOf(answer, clock);
      }
      const said = answer.text.trim();
      throw new LanyardError({
        code: "kubernetes.exec.refused",
        message: `unable to upgrade connection: ${said === "" ? `the server answered ${answer.status}` : said}`,
      });
    },
    expireMaterial: () => Object.values(sources).forEach((each) => each?.expire()),
  };
}

function isStatus(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && "kind" in value && value.kind === "Status";
  } catch {
    return false;
  }
}
