import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { IncomingMessage } from "node:http";
import type { Clock } from "../../clock.ts";
import { LanyardError, messageOf } from "../../errors.ts";
import type { Status } from "../../kube/api-error.ts";
import type { Logger } from "../../telemetry/log.ts";
import {
  internalError,
  methodNotAllowed,
  notFound,
  StatusError,
  unsupportedMediaType,
} from "../request/status.ts";
import { negotiate, OBJECT_MEDIA_TYPES, wantsPretty } from "./negotiation.ts";
import type { NegotiatedMediaType } from "./negotiation.ts";
import { encodeObject } from "./object-encoding.ts";
import { partialContextOf, PlainTextError } from "./request-context.ts";

/** Sends an object in the negotiated form. */
export function sendObject(
  request: FastifyRequest,
  reply: FastifyReply,
  code: number,
  object: unknown,
  mediaType: NegotiatedMediaType,
): FastifyReply {
  const query = partialContextOf(request)?.target.query ?? NO_QUERY;
  const pretty = mediaType.pretty || wantsPretty(query, request.headers["user-agent"]);
  const { contentType, body } = encodeObject(object, mediaType.encoding, pretty);
  // Text goes out together with the head in one write, and takes the head's encoding along: warnings hold bytes, not text (H5).
  const payload = reply.hasHeader("Warning") ? Buffer.from(body) : body;
  return reply.code(code).header("Content-Type", contentType).serializer(asItIs).send(payload);
}

const NO_QUERY = new URLSearchParams();

/** Without a serializer Fastify would add a charset to the media type of text. */
function asItIs(body: string): string {
  return body;
}

/** Sends a `Status`; where the caller accepts neither JSON nor YAML, JSON it is. */
export function sendStatus(request: FastifyRequest, reply: FastifyReply, status: Status): FastifyReply {
  const mediaType = negotiate(request.headers.accept) ?? {
    encoding: "json",
    conversion: undefined,
    pretty: false,
  };
  return sendObject(request, reply, status.code ?? 500, status, mediaType);
}

/** Sends text as Go's `http.Error` does: with a newline, never sniffed. */
export function sendText(reply: FastifyReply, code: number, text: string): FastifyReply {
  return reply
    .code(code)
    .header("Content-Type", "text/plain; charset=utf-8")
    .header("X-Content-Type-Options", "nosniff")
    .send(Buffer.from(`${text}\n`));
}

export interface ErrorResponseOptions {
  readonly clock: Pick<Clock, "schedule">;
  readonly log: Logger;
  /** Paths below these answer with a `Status` when there is no route: `/apis/<group>`. */
  readonly groupPaths: readonly string[];
  /** Methods of every route, by path. */
  readonly methodsOf: (path: string) => readonly string[] | undefined;
}

/** Answers for everything that throws and for everything without a route. */
export function installErrorResponses(server: FastifyInstance, options: ErrorResponseOptions): void {
  const { clock, log, groupPaths, methodsOf } = options;

  server.setErrorHandler(async (error, request, reply) => {
    if (error instanceof PlainTextError) {
      return sendText(reply, error.httpStatus, error.message);
    }
    const refusal = error instanceof StatusError ? error : refusalFor(error, request, log);
    if (refusal.retryAfterSeconds !== undefined) {
      reply.header("Retry-After", String(refusal.retryAfterSeconds));
    }
    if (refusal.status.code === 403) {
      reply.header("X-Content-Type-Options", "nosniff");
    }
    if (refusal.closeConnection) {
      reply.header("Connection", "close");
      lingerAtClose(request.raw, clock);
    }
    return sendStatus(request, reply, refusal.status);
  });

  server.setNotFoundHandler(async (request, reply) => {
    const path = partialContextOf(request)?.target.path ?? "";
    const methods = methodsOf(path);
    if (methods !== undefined) {
      reply.header("Allow", methods.join(", "));
      return sendStatus(request, reply, methodNotAllowed());
    }
    if (groupPaths.some((group) => path === group || path.startsWith(`${group}/`))) {
      return sendStatus(request, reply, notFound());
    }
    return sendText(reply, 404, "404 page not found");
  });
}

const LINGER_MILLISECONDS = 500;

/**
 * A socket that is closed while bytes of the request are unread is reset, and the reset overtakes the answer (RFC 9112
 * section 9.6): the API server in front would say 503. So only our direction is closed with the answer, what still comes in
 * is thrown away, and the rest of the socket follows soon.
 */
function lingerAtClose(message: IncomingMessage, clock: Pick<Clock, "schedule">): void {
  const { socket } = message;
  socket.destroySoon = () => {
    const destroy = (): void => void socket.destroy();
    socket.once("close", clock.schedule(LINGER_MILLISECONDS, destroy));
    message.once("end", destroy);
    socket.end();
    message.resume();
  };
}

function refusalFor(error: unknown, request: FastifyRequest, log: Logger): StatusError {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "FST_ERR_CTP_INVALID_MEDIA_TYPE") {
    return new StatusError(unsupportedMediaType(OBJECT_MEDIA_TYPES));
  }
  if (code !== "request.canceled") {
    log.error("a request failed unexpectedly", error, { auditID: partialContextOf(request)?.auditID });
  }
  const shown =
    error instanceof LanyardError ? error.publicMessage : "the server could not complete the request";
  return new StatusError(internalError(shown), { cause: messageOf(error) });
}
