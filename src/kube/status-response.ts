import type { Clock } from "../clock.ts";
import type { Status } from "./api-error.ts";
import { KubernetesApiError } from "./api-error.ts";
import type { KubernetesResponse } from "./kubernetes-client.ts";

/** Reasons of `k8s.io/apimachinery/pkg/apis/meta/v1` for answers that carry no `Status`. */
const reasons: Readonly<Record<number, string>> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  405: "MethodNotAllowed",
  406: "NotAcceptable",
  409: "Conflict",
  410: "Expired",
  413: "RequestEntityTooLarge",
  415: "UnsupportedMediaType",
  422: "Invalid",
  429: "TooManyRequests",
  500: "InternalError",
  503: "ServiceUnavailable",
  504: "Timeout",
};

/** The error of a non-2xx answer; a `Retry-After` header ends up in `details.retryAfterSeconds`. */
export function apiErrorOf(response: KubernetesResponse, clock: Clock): KubernetesApiError {
  const status = statusIn(response.text) ?? {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    reason: reasons[response.status] ?? "Unknown",
    message: `the API server answered ${response.status} without a Status`,
  };
  const seconds =
    status.details?.retryAfterSeconds || retryAfterSeconds(response.headers["retry-after"], clock);
  return new KubernetesApiError({
    ...status,
    code: status.code ?? response.status,
    ...(seconds === undefined ? {} : { details: { ...status.details, retryAfterSeconds: seconds } }),
  });
}

/** `Retry-After` in seconds (RFC 9110 section 10.2.3), from a number or a date. */
export function retryAfterSeconds(header: string | string[] | undefined, clock: Clock): number | undefined {
  const value = Array.isArray(header) ? header[0] : header;
  if (value === undefined) {
    return undefined;
  }
  if (/^\d{1,9}$/.test(value.trim())) {
    return Number(value);
  }
  const date = Date.parse(value);
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - clock.now()) / 1000));
}

function statusIn(body: string): Status | undefined {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value === "object" && value !== null && "kind" in value && value.kind === "Status") {
      return value as Status;
    }
  } catch {
    // A load balancer's page, for instance.
  }
  return undefined;
}
