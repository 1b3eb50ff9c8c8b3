import { goQuote } from "../request/go-quote.ts";
import { encodeStatus, internalError, StatusError, withoutHtml } from "../request/status.ts";
import type { Refusal } from "./proxied-request.ts";

/** The answer of a `StatusError`: JSON and a newline (contract 7.3 to 7.5). */
export function statusRefusal(error: StatusError): Refusal {
  const { status, retryAfterSeconds, closeConnection } = error;
  return {
    status: error.httpStatus,
    headers: [
      "Content-Type",
      "application/json",
      ...(retryAfterSeconds === undefined ? [] : ["Retry-After", String(retryAfterSeconds)]),
    ],
    body: encodeStatus(status),
    closeConnection,
  };
}

/** 500 in plain text with Go's newline, as `responsewriters.InternalError` writes it. */
export function internalServerError(target: string, text: string): Refusal {
  return {
    status: 500,
    headers: ["Content-Type", "text/plain; charset=utf-8"],
    body: `${withoutHtml(`Internal Server Error: ${goQuote(target)}: ${text}`)}\n`,
    closeConnection: false,
  };
}

/** There is no credential to speak to the kube-apiserver with (contract 7.6). */
export const noCredential: Refusal = { status: 502, headers: [], body: "", closeConnection: false };

/** Contract 7.5: a failed check of the last handler. */
export function failedCheck(text: string): Refusal {
  return statusRefusal(new StatusError(internalError(text)));
}

/** Contract 7.6: the user cannot be said to the kube-apiserver. */
export const UNABLE_TO_ACT = "unimplemented functionality - unable to act as current user";
