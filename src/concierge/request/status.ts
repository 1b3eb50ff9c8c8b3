import { LanyardError } from "../../errors.ts";
import type { Identity } from "../../identity/identity.ts";
import type { Status, StatusDetails } from "../../kube/api-error.ts";
import type { RequestAttributes } from "./authorizer.ts";
import { goJson } from "../../go-json.ts";
import { goQuote } from "./go-quote.ts";

/**
 * A request that is answered with a Kubernetes `Status`. `code` is `request.<reason in lower case>`;
 * `httpStatus` is the status' code.
 */
export class StatusError extends LanyardError {
  readonly status: Status;
  /** Seconds for the `Retry-After` header. */
  readonly retryAfterSeconds: number | undefined;
  /** The connection is not worth keeping: its unread body would have to be read first. */
  readonly closeConnection: boolean;

  constructor(
    status: Status,
    options: { readonly cause?: unknown; readonly closeConnection?: boolean } = {},
  ) {
    super({
      code: `request.${(status.reason ?? "unknown").toLowerCase()}`,
      message: status.message ?? "",
      httpStatus: status.code,
      cause: options.cause,
    });
    this.name = "StatusError";
    this.status = status;
    this.retryAfterSeconds = status.details?.retryAfterSeconds;
    this.closeConnection = options.closeConnection ?? false;
  }
}

/** A group and the plural name (or kind) in it, as `schema.GroupResource` prints it. */
export interface GroupResource {
  readonly group: string;
  readonly resource: string;
}

/** One rule a field breaks (`metav1.StatusCause` made from `field.Error`). */
export interface FieldError {
  /** `FieldValueRequired`, `FieldValueNotSupported`, ... */
  readonly type: string;
  /** `field.Error.ErrorBody()`. */
  readonly body: string;
  readonly field: string;
}

function failure(code: number, reason: string, message: string, details?: StatusDetails): Status {
  return {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    message,
    ...(reason === "" ? {} : { reason }),
    ...(details === undefined ? {} : { details }),
    code,
  };
}

/** `metav1.StatusDetails` in Go's key order, empty values left out. */
function detailsOf(details: StatusDetails): StatusDetails {
  const { name, group, kind, uid, causes, retryAfterSeconds } = details;
  return {
    ...(name === undefined || name === "" ? {} : { name }),
    ...(group === undefined || group === "" ? {} : { group }),
    ...(kind === undefined || kind === "" ? {} : { kind }),
    ...(uid === undefined || uid === "" ? {} : { uid }),
    ...(causes === undefined || causes.length === 0 ? {} : { causes }),
    ...(retryAfterSeconds === undefined || retryAfterSeconds === 0 ? {} : { retryAfterSeconds }),
  };
}

function resourceText({ group, resource }: GroupResource): string {
  return group === "" ? resource : `${resource}.${group}`;
}

export function badRequest(message: string): Status {
  return failure(400, "BadRequest", message);
}

export function unauthorized(): Status {
  return failure(401, "Unauthorized", "Unauthorized");
}

/** 403 in the words of `k8s.io/apiserver pkg/endpoints/handlers/responsewriters`; `reason` is the authorizer's. */
export function forbidden(user: Identity, attributes: RequestAttributes, reason: string): Status {
  const sentence = withoutHtml(forbiddenSentence(user.username, attributes));
  const text = reason === "" ? sentence : `${sentence}: ${reason}`;
  if (attributes.kind === "path") {
    return failure(403, "Forbidden", `forbidden: ${text}`, {});
  }
  const { group, resource, name } = attributes;
  const subject = resourceText({ group, resource });
  const named = name === "" ? subject : `${subject} ${goQuote(name)}`;
  return failure(
    403,
    "Forbidden",
    `${named} is forbidden: ${text}`,
    detailsOf({ name, group, kind: resource }),
  );
}

/** Nothing that a browser could take for markup. */
export function withoutHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function forbiddenSentence(username: string, attributes: RequestAttributes): string {
  const who = `User ${goQuote(username)} cannot ${attributes.verb}`;
  if (attributes.kind === "path") {
    return `${who} path ${goQuote(attributes.path)}`;
  }
  const { group, resource, subresource, namespace } = attributes;
  const what = subresource === "" ? resource : `${resource}/${subresource}`;
  const where = namespace === "" ? "at the cluster scope" : `in the namespace ${goQuote(namespace)}`;
  return `${who} resource ${goQuote(what)} in API group ${goQuote(group)} ${where}`;
}

/** No route below a served group. */
export function notFound(): Status {
  return failure(404, "NotFound", "the server could not find the requested resource", {});
}

export function methodNotAllowed(): Status {
  return failure(
    405,
    "MethodNotAllowed",
    "the server does not allow this method on the requested resource",
    {},
  );
}

/** `accepted` are the media types served. */
export function notAcceptable(accepted: readonly string[]): Status {
  return failure(406, "NotAcceptable", `only the following media types are accepted: ${accepted.join(", ")}`);
}

export function conflict(what: GroupResource, name: string, message: string): Status {
  return failure(
    409,
    "Conflict",
    `Operation cannot be fulfilled on ${resourceText(what)} ${goQuote(name)}: ${message}`,
    detailsOf({ name, group: what.group, kind: what.resource }),
  );
}

/** `limit` in bytes. */
export function requestEntityTooLarge(limit: number): Status {
  return failure(413, "RequestEntityTooLarge", `Request entity too large: limit is ${limit}`);
}

export function unsupportedMediaType(accepted: readonly string[]): Status {
  return failure(
    415,
    "UnsupportedMediaType",
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(", ")}`,
  );
}

/** 422 as `apierrors.NewInvalid`; `kind` may be empty (contract 2.2), then the message starts with a dot. */
export function invalid(
  kind: { readonly group: string; readonly kind: string },
  name: string,
  errors: readonly FieldError[],
): Status {
  const texts = errors.map(({ field, body }) => `${field}: ${body}`);
  const only = texts[0];
  const list = texts.length === 1 && only !== undefined ? only : `[${texts.join(", ")}]`;
  return failure(
    422,
    "Invalid",
    `${kind.kind}.${kind.group} ${goQuote(name)} is invalid: ${list}`,
    detailsOf({
      name,
      group: kind.group,
      kind: kind.kind,
      causes: errors.map(({ type, body, field }) => ({ reason: type, message: body, field })),
    }),
  );
}

export function tooManyRequests(retryAfterSeconds: number): Status {
  return failure(
    429,
    "TooManyRequests",
    "Too many requests, please try again later.",
    detailsOf({ retryAfterSeconds }),
  );
}

export function internalError(message: string): Status {
  return failure(500, "InternalError", `Internal error occurred: ${message}`, { causes: [{ message }] });
}

export function serviceUnavailable(message: string): Status {
  return failure(503, "ServiceUnavailable", message);
}

/** 504 as the generic API server's time-out filter sends it. */
export function timedOut(message: string): Status {
  return failure(504, "Timeout", `Timeout: ${message}`, {});
}

/** The body: one line and a newline, Go's escaping. */
export function encodeStatus(status: Status): string {
  return `${goJson(status)}\n`;
}
