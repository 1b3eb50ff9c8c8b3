import { LanyardError } from "../../errors.ts";
import type { Identity } from "../../identity/identity.ts";
import { parseJsonObject } from "./oidc-discovery.ts";

export type TokenReviewVersion = "v1beta1" | "v1";

/** The webhook did not give a usable verdict; `message` never holds the token. */
export class WebhookRefusal extends LanyardError {
  constructor(message: string, cause?: unknown) {
    super({
      code: "webhook.refused",
      message,
      cause,
      publicMessage: "authentication failed",
      httpStatus: 401,
    });
    this.name = "WebhookRefusal";
  }
}

/** The request body: the token and nothing else (contract 4.6). */
export function tokenReviewBody(version: TokenReviewVersion, token: string): string {
  return JSON.stringify({ kind: "TokenReview", apiVersion: apiVersionOf(version), spec: { token } });
}

export function apiVersionOf(version: TokenReviewVersion): string {
  return `authentication.k8s.io/${version}`;
}

/** What a webhook answered, before it is judged. */
export interface TokenReviewAnswer {
  readonly apiVersion: unknown;
  readonly status: Readonly<Record<string, unknown>>;
}

/** Reads a `TokenReview` out of an answer; throws `WebhookRefusal` for anything else. */
export function parseTokenReview(body: Uint8Array): TokenReviewAnswer {
  const review = parseJsonObject(body);
  if (review === undefined || review["kind"] !== "TokenReview") {
    throw new WebhookRefusal("the webhook did not answer with a TokenReview");
  }
  const status = review["status"] ?? {};
  if (!isObject(status)) {
    throw new WebhookRefusal("the webhook's TokenReview has a status that is not an object");
  }
  return { apiVersion: review["apiVersion"], status };
}

/** The identity of an authenticated token; nothing when the webhook says it is not authenticated. */
export function identityFromReview(
  status: Readonly<Record<string, unknown>>,
  token: string,
): Identity | undefined {
  const { error, authenticated, user } = status as {
    readonly error?: unknown;
    readonly authenticated?: unknown;
    readonly user?: unknown;
  };
  if (error !== undefined && error !== null && error !== "") {
    const text = typeof error === "string" ? error.replaceAll(token, "[token]") : "an error that is not text";
    throw new WebhookRefusal(`the webhook reported: ${text.slice(0, 300)}`);
  }
  if (authenticated !== true) {
    return undefined;
  }
  return identityFromUser(user);
}

function identityFromUser(user: unknown): Identity | undefined {
  if (user === undefined || user === null) {
    return undefined;
  }
  const { username, uid, groups, extra } = (isObject(user) ? user : { username: 0 }) as {
    readonly username?: unknown;
    readonly uid?: unknown;
    readonly groups?: unknown;
    readonly extra?: unknown;
  };
  const name = username ?? "";
  const id = uid ?? "";
  const groupList = groups ?? [];
  const extraMap = extra ?? {};
  if (typeof name !== "string" || typeof id !== "string" || !isStringList(groupList) || !isObject(extraMap)) {
    throw new WebhookRefusal("the webhook's user has fields of the wrong type");
  }
  const extraLists = Object.entries(extraMap).map(([key, values]) => [key, values ?? []] as const);
  if (!extraLists.every((entry): entry is readonly [string, readonly string[]] => isStringList(entry[1]))) {
    throw new WebhookRefusal("the webhook's user has extra values that are not lists of strings");
  }
  return {
    username: name,
    ...(id === "" ? {} : { uid: id }),
    groups: groupList,
    extra: Object.fromEntries(extraLists),
  };
}

function isStringList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
