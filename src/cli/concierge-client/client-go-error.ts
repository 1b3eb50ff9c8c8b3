import { goQuote } from "../../go-text.ts";
import type { HttpAnswer } from "../http/http-client.ts";

const MAXIMUM_TEXT_BYTES = 2048;

const TEXTS: Readonly<Record<number, string>> = {
  400: "the server rejected our request for an unknown reason",
  401: "the server has asked for the client to provide credentials",
  404: "the server could not find the requested resource",
  405: "the server does not allow this method on the requested resource",
  409: "the server reported a conflict",
  422: "the server rejected our request due to an error in our request",
  429: "the server has received too many requests and has asked us to try again later",
  503: "the server is currently unable to handle the request",
  504: "the server was unable to return a response in the time allotted, but may still be processing the request",
};

/**
 * How client-go words an answer that is no success: the message of a `Status`, else a text by the status code
 * (k8s.io/apimachinery `NewGenericServerResponse`). `request` names the call: `post tokencredentialrequests.<group>`.
 */
export function clientGoErrorText(
  answer: Pick<HttpAnswer, "status" | "headers" | "body">,
  request: string,
): string {
  const status = statusOf(answer.body);
  if (status?.message !== undefined && status.message !== "") {
    return onOneLine(status.message);
  }
  // client-go quotes a body only if it claims to be text.
  const type = answer.headers["content-type"] ?? "";
  const isText = type === "" || type.toLowerCase().startsWith("text/");
  const body = isText ? answer.body.slice(0, MAXIMUM_TEXT_BYTES).trim() : "unknown";
  if (answer.status === 403 || answer.status === 406 || answer.status === 415) {
    return `${onOneLine(body)} (${request})`;
  }
  const text =
    TEXTS[answer.status] ??
    (answer.status >= 500
      ? `an error on the server (${goQuote(body)}) has prevented the request from succeeding`
      : `the server responded with the status code ${answer.status} but did not return more information`);
  return `${text} (${request})`;
}

/** A `Status` of kind Failure (`metav1.Status`), as far as it is read here. */
export interface FailureStatus {
  readonly message?: string;
  /** The fields that the server found fault with. */
  readonly causes: readonly { readonly field: string; readonly message: string }[];
}

export function statusOf(body: string): FailureStatus | undefined {
  const value = parseObject(body);
  if (value?.["kind"] !== "Status" || value["status"] === "Success") {
    return undefined;
  }
  const details = value["details"];
  const causes = isRecord(details) && Array.isArray(details["causes"]) ? details["causes"] : [];
  return {
    ...(typeof value["message"] === "string" ? { message: value["message"] } : {}),
    causes: causes.filter(isRecord).map((cause) => ({
      field: textOf(cause["field"]),
      message: textOf(cause["message"]),
    })),
  };
}

/** The object that a JSON text holds, if it does. */
export function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** What a server says, fit for one line of a terminal. */
export function onOneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trim();
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
