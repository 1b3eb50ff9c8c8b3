import type { FastifyInstance, FastifyRequest } from "fastify";
import { TLSSocket } from "node:tls";
import type { Clock } from "../../clock.ts";
import type { Identity } from "../../identity/identity.ts";
import { auditIdOf } from "../request/audit-id.ts";
import type { AuthenticationChain } from "../request/authentication-chain.ts";
import type { Authorizer, RequestAttributes } from "../request/authorizer.ts";
import type { FrontProxyAuthenticator } from "../request/front-proxy.ts";
import { presentedCertificate } from "../request/presented-certificate.ts";
import { authorizationHeader } from "../request/raw-headers.ts";
import { parseRequestTarget, requestAttributes } from "../request/request-info.ts";
import type { RequestTarget } from "../request/request-info.ts";
import { requestSource } from "../request/request-source.ts";
import { badRequest, forbidden, StatusError, timedOut, withoutHtml } from "../request/status.ts";
import { LanyardError } from "../../errors.ts";
import type { Logger } from "../../telemetry/log.ts";

/** What is known about a request when its handler runs. */
export interface RequestContext {
  readonly auditID: string;
  readonly startedAt: number;
  target: RequestTarget;
  attributes: RequestAttributes;
  identity: Identity;
  /** For rate limits (S18). */
  source: string;
}

/** Where a request carries its context: a map beside it would be looked through at every collection of garbage. */
const CONTEXT = Symbol("RequestContext");

interface WithContext {
  [CONTEXT]?: RequestContext | null;
}

/** The context of a request whose hooks have run. */
export function contextOf(request: FastifyRequest): RequestContext {
  const context = partialContextOf(request);
  if (context === undefined) {
    throw new TypeError("a request reached its handler without a context");
  }
  return context;
}

/** The context as far as it got; for answers to refused requests. */
export function partialContextOf(request: FastifyRequest): RequestContext | undefined {
  return (request as WithContext)[CONTEXT] ?? undefined;
}

/** A failure that is answered in plain text, as the generic API server does when its authorizer gives no answer. */
export class PlainTextError extends LanyardError {}

export interface RequestStepOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly frontProxy: FrontProxyAuthenticator;
  readonly authentication: AuthenticationChain;
  readonly authorizer: Authorizer;
  readonly isOwnPod: (address: string) => boolean;
}

const NOBODY: Identity = { username: "", groups: [], extra: {} };
const NO_TARGET: RequestTarget = { path: "", query: new URLSearchParams() };
const NO_ATTRIBUTES: RequestAttributes = { kind: "path", verb: "", path: "" };

/** Everything that happens to a request before its handler, in order; the first step that throws answers. */
export function installRequestSteps(server: FastifyInstance, options: RequestStepOptions): void {
  const { clock, log, frontProxy, authentication, authorizer, isOwnPod } = options;

  server.decorateRequest(CONTEXT, null);
  server.addHook("onRequest", async (request, reply) => {
    const { rawHeaders } = request.raw;
    const context: RequestContext = {
      auditID: auditIdOf(rawHeaders),
      startedAt: clock.now(),
      target: NO_TARGET,
      attributes: NO_ATTRIBUTES,
      identity: NOBODY,
      source: "",
    };
    (request as WithContext)[CONTEXT] = context;
    reply.header("Audit-Id", context.auditID);
    reply.header("Cache-Control", "no-cache, private");

    requirePlainRequest(request);
    context.target = parseRequestTarget(request.raw.url ?? "");
    context.attributes = requestAttributes(request.raw.method ?? "", context.target);

    const { socket } = request.raw;
    const certificate = socket instanceof TLSSocket ? presentedCertificate(socket) : undefined;
    context.source = requestSource({
      rawHeaders,
      peerAddress: socket.remoteAddress,
      fromFrontProxy: frontProxy.isFrontProxy(certificate),
      isOwnPod,
    });
    const { identity } = await authentication.authenticate({
      rawHeaders,
      certificate,
      source: context.source,
    });
    context.identity = identity;

    const decision = await authorizer.authorize(identity, context.attributes).catch((cause: unknown) => {
      log.error("the authorizer gave no answer", cause, { auditID: context.auditID });
      throw new PlainTextError({
        code: "request.authorizationUnavailable",
        message: withoutHtml(
          `Internal Server Error: ${JSON.stringify(request.raw.url)}: ${publicReason(cause)}`,
        ),
        httpStatus: 500,
      });
    });
    if (!decision.allowed) {
      throw new StatusError(forbidden(identity, context.attributes, decision.reason));
    }
  });
}

function publicReason(cause: unknown): string {
  return cause instanceof LanyardError ? cause.publicMessage : "no answer from the authorizer";
}

const HOST = "host";
const IMPERSONATE = "impersonate-";

/** Refuses what no honest client sends and what Node lets through (H2, H3, H4). */
function requirePlainRequest(request: FastifyRequest): void {
  const { rawHeaders, httpVersion } = request.raw;
  if (httpVersion !== "1.1") {
    throw new StatusError(badRequest(`HTTP/${httpVersion} is not supported`), { closeConnection: true });
  }
  let hosts = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? "";
    if (name.length === HOST.length && name.toLowerCase() === HOST) {
      hosts++;
    } else if (name.length >= IMPERSONATE.length && name.toLowerCase().startsWith(IMPERSONATE)) {
      // The API server in front resolves impersonation; dropping the header would act as somebody else.
      throw new StatusError(badRequest("impersonation is not supported by this server"));
    }
  }
  if (hosts > 1) {
    throw new StatusError(badRequest("more than one Host header"), { closeConnection: true });
  }
  authorizationHeader(rawHeaders);
}

/**
 * Runs the work of a handler with a time limit and an end when the caller leaves; late is a 504 Status
 * (`k8s.io/apiserver pkg/endpoints/handlers/finisher`).
 */
export function withDeadline<T>(
  request: FastifyRequest,
  clock: Clock,
  milliseconds: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  // One promise that the first of three settles: a race would make several for every request.
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const abort = new AbortController();
  const { socket } = request.raw;
  const leave = (): void =>
    abort.abort(new LanyardError({ code: "request.canceled", message: "context canceled" }));
  const cancel = clock.schedule(milliseconds, () => {
    const error = new StatusError(
      timedOut("request did not complete within requested timeout - context deadline exceeded"),
    );
    abort.abort(error);
    reject(error);
  });
  const stop = (): void => {
    cancel();
    socket.off("close", leave);
  };
  socket.once("close", leave);
  work(abort.signal).then(
    (result) => {
      stop();
      resolve(result);
    },
    (error: unknown) => {
      stop();
      reject(error);
    },
  );
  return promise;
}
