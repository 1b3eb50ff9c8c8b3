import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { messageOf } from "../errors.ts";
import type { Logger } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics.ts";

/** A port that serves `/metrics` without TLS and without asking who reads. */
export interface PlainMetricsServer {
  readonly port: number;
  /** Ends it at once. */
  close(): Promise<void>;
}

const TIMEOUT_MILLISECONDS = 10_000;
const MAXIMUM_CONNECTIONS = 32;

/**
 * For scrapers that can show no credential (`metrics.plainPort`, off by default): `GET /metrics` and nothing else. What it
 * tells holds no names but those of authenticators. Rejects when the port cannot be had.
 */
export async function startPlainMetricsServer(options: {
  readonly host: string;
  readonly port: number;
  readonly metrics: Pick<Metrics, "render">;
  readonly log: Logger;
}): Promise<PlainMetricsServer> {
  const { host, port, metrics, log } = options;
  const server = createServer(
    {
      headersTimeout: TIMEOUT_MILLISECONDS,
      requestTimeout: TIMEOUT_MILLISECONDS,
      keepAliveTimeout: TIMEOUT_MILLISECONDS,
    },
    (request, response) => {
      const path = request.url?.split("?", 1)[0];
      if (path !== "/metrics") {
        response.writeHead(404, { "Content-Type": "text/plain; charset=utf-8" }).end("not found\n");
        return;
      }
      if (request.method !== "GET") {
        response.writeHead(405, { Allow: "GET", "Content-Type": "text/plain; charset=utf-8" });
        response.end("method not allowed\n");
        return;
      }
      metrics.render().then(
        ({ contentType, body }) => response.writeHead(200, { "Content-Type": contentType }).end(body),
        (error: unknown) => {
          log.error("metrics could not be rendered", error);
          response.writeHead(500).end();
        },
      );
    },
  );
  server.maxConnections = MAXIMUM_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  server.on("error", (error) => log.warning("the plain metrics port failed", { error: messageOf(error) }));
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
