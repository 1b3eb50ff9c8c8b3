import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import type { AddressInfo, Socket } from "node:net";
import type { Clock } from "../../clock.ts";
import { aggregatedGroups } from "../../resources/discovery.ts";
import type { AuditLog } from "../../telemetry/audit.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { TlsProfile } from "../../tls/profiles.ts";
import type { Limits } from "../config/config.ts";
import type { CredentialIssuing } from "../credentials/issue-credential.ts";
import { createAuthenticationChain } from "../request/authentication-chain.ts";
import type { Authorizer } from "../request/authorizer.ts";
import {
  createBearerTokenAuthenticator,
  createWebSocketTokenAuthenticator,
} from "../request/bearer-token.ts";
import type { TokenAuthenticator } from "../request/bearer-token.ts";
import { createClientCertificateAuthenticator } from "../request/client-certificate.ts";
import { createFrontProxyAuthenticator } from "../request/front-proxy.ts";
import { createConcurrencyLimit, createFailureLimiter } from "../request/limits.ts";
import { badRequest, encodeStatus } from "../request/status.ts";
import type { ConciergeState } from "../state/concierge-state.ts";
import type { ReadinessCheck } from "../state/readiness.ts";
import { installCollection } from "./collections.ts";
import { installDocuments, sendPretty } from "./documents.ts";
import type { VersionInfo } from "./documents.ts";
import { installHealth, logCheck, pingCheck } from "./health.ts";
import { installRequestSteps } from "./request-context.ts";
import { hasBigUnreadBody } from "./request-body.ts";
import { installErrorResponses } from "./responses.ts";
import { createTlsListener, defaultListenerTimeouts, drain } from "./tls-listener.ts";
import type { ListenerTimeouts } from "./tls-listener.ts";
import { createExchange } from "./token-credential-request/exchange.ts";
import type { ExchangeCounting, ExchangeOptions } from "./token-credential-request/exchange.ts";
import { createTokenCredentialRequestCollection } from "./token-credential-request/token-credential-request.ts";
import { createWhoAmIRequestCollection } from "./who-am-i-request/who-am-i-request.ts";

export interface AggregatedApiOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly audit: AuditLog;
  readonly apiGroupSuffix: string;
  /** Whether OpenAPI shows the additive fields (clarification 1). */
  readonly extensions: boolean;
  readonly version: VersionInfo;
  readonly state: Pick<
    ConciergeState,
    "servingCertificate" | "requestHeader" | "clientCaPem" | "authenticators"
  >;
  /** `tlsProfiles.secureServer` (contract 8.1). */
  readonly tlsProfile: TlsProfile;
  readonly authorizer: Authorizer;
  /** Absent where no API server can judge tokens; a bearer token is not looked at then. */
  readonly tokens?: TokenAuthenticator | undefined;
  readonly credentials: CredentialIssuing;
  /** The deny list (S15); absent: there is none. */
  readonly isDenied?: ExchangeOptions["isDenied"];
  /** Whether the audit log names what was issued (`audit.credentialEvents`). */
  readonly credentialEvents?: boolean | undefined;
  /** Further reserved prefixes of `concierge.yaml` (S1). */
  readonly reservedPrefixes?: readonly string[] | undefined;
  readonly limits: Limits;
  /** Whether an address is a Pod of this Deployment (S18). */
  readonly isOwnPod?: ((address: string) => boolean) | undefined;
  /** For `/healthz`, `/livez` and `/readyz`, after `ping` and `log`. */
  readonly healthChecks?: readonly ReadinessCheck[] | undefined;
  /** For `/readyz` only. */
  readonly readinessChecks?: readonly ReadinessCheck[] | undefined;
  readonly metrics: ExchangeCounting & Pick<Metrics, "rateLimited" | "render">;
  readonly timeouts?: ListenerTimeouts | undefined;
  /** Of the create handler, milliseconds; contract 1.4 says 34 s. */
  readonly createDeadlineMilliseconds?: number | undefined;
}

export interface AggregatedApi {
  listen(address: { readonly host: string; readonly port: number }): Promise<{ readonly port: number }>;
  /** From now on `/readyz` fails and every answer ends its connection; requests are still served. */
  beginShutdown(): void;
  /** Takes nothing new, lets what runs finish, cuts what is left after the grace period. */
  close(gracePeriodMilliseconds: number): Promise<void>;
}

/** The aggregated API server (contract chapters 1 to 3): HTTPS on TLS 1.3, HTTP/1.1, one process-wide instance. */
export async function createAggregatedApi(options: AggregatedApiOptions): Promise<AggregatedApi> {
  const { clock, state } = options;
  const log = options.log.named("aggregated-api");
  let shuttingDown = false;
  let release = (): void => {};

  const timeouts = options.timeouts ?? defaultListenerTimeouts;
  const server = Fastify({
    logger: false,
    // The onRequest hooks see raw targets and judge them; the router only ever matches fixed paths.
    exposeHeadRoutes: false,
    forceCloseConnections: false,
    return503OnClosing: false,
    bodyLimit: Number.MAX_SAFE_INTEGER,
    clientErrorHandler: (error, socket) => {
      if (error.code === "ERR_HTTP_REQUEST_TIMEOUT" && socket.bytesRead === 0) {
        // Go's transport opens connections that it then keeps in reserve: a 408 on one would be the answer to whatever it sends
        // just then, and a login is not repeated (R2). It may be idle as long as any other.
        socket.setTimeout(timeouts.keepAlive, () => socket.destroy());
        return;
      }
      answerUnparsable(error, socket, log);
    },
    frameworkErrors: (_error, _request, reply) => {
      // Fastify's own router comes before the hooks, so this answer stands alone.
      const body = encodeStatus(badRequest("the request target cannot be read"));
      reply.raw
        .writeHead(400, { "Content-Type": "application/json", "Cache-Control": "no-cache, private" })
        .end(body);
    },
    serverFactory: (handler) => {
      const listener = createTlsListener({ state, profile: options.tlsProfile, timeouts, log }, handler);
      release = listener.release;
      return listener.server;
    },
  });
  // Bodies are read by the handlers, after everything that can refuse a request more cheaply.
  server.removeAllContentTypeParsers();
  server.addContentTypeParser("*", (_request, _payload, done) => done(null));

  installSteps(server, options, log);
  server.addHook("onSend", (request, reply, payload, done) => {
    // Whoever keeps connections alive finds another replica this way, before this one goes. And a body that nobody
    // wants would have to be read to its end before the connection is of use again (L4).
    if (shuttingDown || hasBigUnreadBody(request.raw)) {
      reply.header("Connection", "close");
    }
    done(null, payload);
  });
  const routes = installRoutes(server, options, log, () => shuttingDown);
  installErrorResponses(server, {
    clock,
    log,
    groupPaths: aggregatedGroups(options.apiGroupSuffix).map(({ group }) => `/apis/${group}`),
    methodsOf: (path) => routes.get(path),
  });
  await server.ready();

  return {
    listen: async ({ host, port }) => {
      await new Promise<void>((resolve, reject) => {
        server.server.once("error", reject);
        server.server.listen(port, host, () => {
          server.server.off("error", reject);
          resolve();
        });
      });
      return { port: (server.server.address() as AddressInfo).port };
    },
    beginShutdown: () => {
      shuttingDown = true;
    },
    close: async (gracePeriodMilliseconds) => {
      shuttingDown = true;
      release();
      if (server.server.listening) {
        await drain(server.server, gracePeriodMilliseconds, clock.schedule);
      }
      await server.close();
    },
  };
}

function installSteps(server: FastifyInstance, options: AggregatedApiOptions, log: Logger): void {
  const { clock, state, tokens } = options;
  const frontProxy = createFrontProxyAuthenticator({ configuration: state.requestHeader, clock });
  installRequestSteps(server, {
    clock,
    log,
    frontProxy,
    authentication: createAuthenticationChain(
      [
        frontProxy,
        createClientCertificateAuthenticator({ bundlePem: () => state.clientCaPem.current, clock }),
        ...(tokens === undefined
          ? []
          : [createBearerTokenAuthenticator(tokens), createWebSocketTokenAuthenticator(tokens)]),
      ],
      log,
    ),
    authorizer: options.authorizer,
    isOwnPod: options.isOwnPod ?? (() => false),
  });
}

function installRoutes(
  server: FastifyInstance,
  options: AggregatedApiOptions,
  log: Logger,
  isShuttingDown: () => boolean,
): ReadonlyMap<string, readonly string[]> {
  const { clock, state, apiGroupSuffix, audit, metrics, limits, credentials } = options;
  const failures = createFailureLimiter(options);
  const exchange = createExchange({
    authenticators: state.authenticators,
    credentials,
    isDenied: options.isDenied,
    credentialEvents: options.credentialEvents,
    reservedIdentities: () => ({
      additionalPrefixes: options.reservedPrefixes,
      neverAllowedUsernames: state.requestHeader.current?.allowedNames,
    }),
    failures,
    // One authenticator may hold half of what may run, so that a slow webhook leaves room for the others (S18).
    concurrency: createConcurrencyLimit({ maximum: Math.ceil(limits.concurrentCreates / 2), metrics }),
    audit,
    log,
    clock,
    metrics,
  });
  const collections = [
    createTokenCredentialRequestCollection({ apiGroupSuffix, exchange, credentials, clock, metrics }),
    createWhoAmIRequestCollection({ apiGroupSuffix }),
  ];
  const knownKinds = collections.flatMap(({ kind, group }) => [
    { group, kind: kind.resource.kind },
    { group, kind: kind.listKind },
  ]);
  const concurrency = createConcurrencyLimit({ maximum: limits.concurrentCreates, metrics });
  const createDeadlineMilliseconds = options.createDeadlineMilliseconds ?? 34_000;
  const basic = [pingCheck, logCheck, ...(options.healthChecks ?? [])];
  const shutdown = {
    name: "shutdown",
    problem: () => (isShuttingDown() ? "process is shutting down" : undefined),
  };

  const routes = new Map<string, readonly string[]>([
    ...installDocuments(server, options),
    ...installHealth(server, {
      healthz: basic,
      livez: basic,
      readyz: [...basic, ...(options.readinessChecks ?? []), shutdown],
      log,
    }),
    ...collections.flatMap((collection) => [
      ...installCollection(server, collection, {
        clock,
        failures,
        concurrency,
        knownKinds,
        createDeadlineMilliseconds,
      }),
    ]),
  ]);
  server.get("/metrics", async (_request, reply) => {
    const { contentType, body } = await metrics.render();
    return reply.header("Content-Type", contentType).send(Buffer.from(body));
  });
  routes.set("/metrics", ["GET"]);
  const index = [...routes.keys()]
    .filter((path) => !path.endsWith("/") && !path.includes("requests"))
    .toSorted();
  for (const path of ["/", "/index.html"]) {
    server.get(path, async (_request, reply) => sendPretty(reply, { paths: index }));
    routes.set(path, ["GET"]);
  }
  return routes;
}

/** A request that Node's parser refused: a short answer and the end of the connection. */
function answerUnparsable(error: Error & { readonly code?: string }, socket: Socket, log: Logger): void {
  const isHttp = error.code?.startsWith("HPE_") === true || error.code === "ERR_HTTP_REQUEST_TIMEOUT";
  if (!isHttp || !socket.writable) {
    // Before the handshake is done an answer would wait for it, and keep the connection, for ever.
    socket.destroy();
    return;
  }
  const [code, reason] =
    error.code === "HPE_HEADER_OVERFLOW"
      ? [431, "Request Header Fields Too Large"]
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? [408, "Request Timeout"]
        : [400, "Bad Request"];
  log.debug("a request could not be parsed", { code: error.code });
  const head = [
    `HTTP/1.1 ${code} ${reason}`,
    "Connection: close",
    "Content-Type: text/plain; charset=utf-8",
    `Content-Length: ${reason.length + 1}`,
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${reason}\n`);
  socket.destroySoon();
}
