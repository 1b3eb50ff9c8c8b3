import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { Authenticator } from "./authenticator.ts";
import { MAXIMUM_TOKEN_BYTES } from "./jwt-verification.ts";
import type { OutboundHttp, OutboundResponse } from "./outbound-http.ts";
import type { TokenReviewVersion } from "./token-review.ts";
import {
  apiVersionOf,
  identityFromReview,
  parseTokenReview,
  tokenReviewBody,
  WebhookRefusal,
} from "./token-review.ts";

export interface WebhookAuthenticatorOptions {
  /** As `checkEndpointUrl` makes it. */
  readonly url: URL;
  /** Closed with the authenticator. */
  readonly http: OutboundHttp;
  readonly clock: Clock;
  /** Answers 0 up to 1; default `Math.random`. */
  readonly random?: () => number;
}

const MAXIMUM_TRIES = 5;
const FIRST_DELAY_MILLISECONDS = 500;
const DELAY_FACTOR = 1.5;
const DELAY_JITTER = 0.2;
/** A webhook that asks for more patience than this is treated as failing a little later. */
const MAXIMUM_DELAY_MILLISECONDS = 5_000;
const MAXIMUM_ANSWER_BYTES = 3 * 1024 * 1024;

const retriedStatuses: ReadonlySet<number> = new Set([429, 500, 504]);
const versionStatuses: ReadonlySet<number> = new Set([400, 404, 415]);

/**
 * Tokens that a TokenReview webhook knows (contract 4.6). Answers `undefined` for `authenticated: false`; throws
 * `WebhookRefusal` when the webhook reports an error or gives no verdict. Verdicts are never remembered (S4).
 */
export function createWebhookAuthenticator(options: WebhookAuthenticatorOptions): Authenticator {
  const { url, http, clock } = options;
  const random = options.random ?? Math.random;
  // Which version this endpoint speaks (clarification 26).
  let version: TokenReviewVersion = "v1beta1";

  const post = (asked: TokenReviewVersion, token: string, signal: AbortSignal): Promise<OutboundResponse> =>
    http.send({
      method: "POST",
      url,
      headers: { "content-type": "application/json", accept: "application/json" },
      body: tokenReviewBody(asked, token),
      maximumBytes: MAXIMUM_ANSWER_BYTES,
      signal,
    });

  const postWithRetries = async (
    asked: TokenReviewVersion,
    token: string,
    signal: AbortSignal,
  ): Promise<OutboundResponse> => {
    let delay = FIRST_DELAY_MILLISECONDS;
    for (let tries = 1; ; tries++) {
      let askedDelay = 0;
      try {
        const answer = await post(asked, token, signal);
        if (!shouldRetry(answer) || tries === MAXIMUM_TRIES) {
          return answer;
        }
        askedDelay = retryAfterMilliseconds(answer.retryAfter);
      } catch (error) {
        signal.throwIfAborted();
        if (!isConnectionReset(error) || tries === MAXIMUM_TRIES) {
          throw new WebhookRefusal(messageOf(error), error);
        }
      }
      const jittered = delay * (1 + DELAY_JITTER * random());
      await clock.sleep(Math.min(Math.max(jittered, askedDelay), MAXIMUM_DELAY_MILLISECONDS), signal);
      signal.throwIfAborted();
      delay *= DELAY_FACTOR;
    }
  };

  const review = async (
    asked: TokenReviewVersion,
    token: string,
    signal: AbortSignal,
  ): Promise<{ readonly status: Readonly<Record<string, unknown>> } | "speaks another version"> => {
    const answer = await postWithRetries(asked, token, signal);
    if (versionStatuses.has(answer.status) && namesVersion(answer.body)) {
      return "speaks another version";
    }
    if (answer.status < 200 || answer.status > 299) {
      throw new WebhookRefusal(`the webhook answered ${answer.statusLine}`);
    }
    const parsed = parseTokenReview(answer.body);
    if (parsed.apiVersion === apiVersionOf(asked)) {
      return parsed;
    }
    if (parsed.apiVersion === apiVersionOf(other(asked))) {
      return "speaks another version";
    }
    throw new WebhookRefusal("the webhook answered in a version that was not asked for");
  };

  return {
    authenticate: async (token, signal) => {
      if (token.length > MAXIMUM_TOKEN_BYTES) {
        return undefined;
      }
      const first = version;
      let result = await review(first, token, signal);
      if (result === "speaks another version") {
        result = await review(other(first), token, signal);
        if (result === "speaks another version") {
          throw new WebhookRefusal("the webhook speaks neither v1beta1 nor v1 of TokenReview");
        }
        version = other(first);
      }
      return identityFromReview(result.status, token);
    },
    close: () => http.close(),
  };
}

function other(version: TokenReviewVersion): TokenReviewVersion {
  return version === "v1" ? "v1beta1" : "v1";
}

function shouldRetry(answer: OutboundResponse): boolean {
  return retriedStatuses.has(answer.status) || (answer.status >= 300 && answer.retryAfter !== undefined);
}

/** `Retry-After` in whole seconds (RFC 9110 section 10.2.3); a date counts as no wish. */
function retryAfterMilliseconds(retryAfter: string | undefined): number {
  return retryAfter !== undefined && /^[0-9]{1,6}$/.test(retryAfter) ? Number(retryAfter) * 1000 : 0;
}

function namesVersion(body: Buffer): boolean {
  return /\bv1(?:beta1)?\b/.test(body.toString("utf8"));
}

function isConnectionReset(error: unknown): boolean {
  for (
    let current = error, depth = 0;
    current instanceof Error && depth < 5;
    current = current.cause, depth++
  ) {
    const { code } = current as { readonly code?: unknown };
    if (code === "ECONNRESET" || code === "EPIPE" || code === "UND_ERR_SOCKET") {
      return true;
    }
  }
  return false;
}
