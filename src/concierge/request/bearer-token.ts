import { createHmac, randomBytes } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { LanyardError } from "../../errors.ts";
import type { Identity } from "../../identity/identity.ts";
import type { KubernetesClient } from "../../kube/kubernetes-client.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { ReviewBudget } from "./limits.ts";
import { authorizationHeader, headerValues } from "./raw-headers.ts";
import type { RequestAuthenticator } from "./request-authenticator.ts";
import { tokenReviews } from "./reviews.ts";
import type { TokenReview } from "./reviews.ts";
import { createVerdictCache } from "./verdict-cache.ts";

/** Judges bearer tokens. */
export interface TokenAuthenticator {
  /** Undefined: the API server does not know the token. Throws when it gave no verdict (S4), 429 when `source` asks too often. */
  authenticateToken(token: string, source: string): Promise<Identity | undefined>;
}

export interface TokenReviewOptions {
  readonly client: Pick<KubernetesClient, "review">;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, "reviewCacheAsked">;
  readonly budget: ReviewBudget;
}

/** TokenReview without audiences; both verdicts count for 10 seconds (contract 1.4 item 3). */
export function createTokenReviewAuthenticator(options: TokenReviewOptions): TokenAuthenticator {
  const { client, clock, metrics, budget } = options;
  // Keys that are of no use outside this process: a core dump shows no token and no plain hash of one (S4).
  const secret = randomBytes(32);
  const cache = createVerdictCache<Identity | undefined>({
    clock,
    lifetimeMilliseconds: 10_000,
    deadlineMilliseconds: 10_000,
    maximumEntries: 4096,
    maximumBytes: 10_000,
    onAsked: (hit) => metrics.reviewCacheAsked("token", hit),
  });
  return {
    authenticateToken: (token, source) => {
      const key = createHmac("sha256", secret).update(token).digest("base64");
      return cache.get(key, Buffer.byteLength(token), async (signal) => {
        budget.spend(source);
        const answer = await client.review(tokenReviews, reviewOf(token), signal);
        return identityOf(answer);
      });
    },
  };
}

function reviewOf(token: string): TokenReview {
  return {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenReview",
    metadata: { name: "" },
    spec: { token },
  };
}

function identityOf({ status }: TokenReview): Identity | undefined {
  if (status === undefined) {
    throw new LanyardError({
      code: "request.reviewMalformed",
      message: "a TokenReview came back without status",
    });
  }
  if (status.authenticated !== true) {
    return undefined;
  }
  const { username = "", uid, groups = [], extra = {} } = status.user ?? {};
  return { username, ...(uid === undefined || uid === "" ? {} : { uid }), groups, extra };
}

const INVALID_TOKEN = new LanyardError({
  code: "request.invalidBearerToken",
  message: "invalid bearer token",
  httpStatus: 401,
});

async function requireKnown(tokens: TokenAuthenticator, token: string, source: string): Promise<Identity> {
  const identity = await tokens.authenticateToken(token, source);
  if (identity === undefined) {
    throw INVALID_TOKEN;
  }
  return identity;
}

/** `Authorization: Bearer`; another scheme or an empty token is nothing presented, as in the generic API server. */
export function createBearerTokenAuthenticator(tokens: TokenAuthenticator): RequestAuthenticator {
  return {
    name: "bearer-token",
    authenticate: async ({ rawHeaders, source }) => {
      const token = bearerToken(rawHeaders);
      return token === undefined ? undefined : requireKnown(tokens, token, source);
    },
  };
}

/** The token of the only `Authorization` header, if it is a bearer token; two such headers are a 400. */
export function bearerToken(rawHeaders: readonly string[]): string | undefined {
  const [scheme, token] = authorizationHeader(rawHeaders)?.trim().split(" ", 3) ?? [];
  return scheme?.toLowerCase() === "bearer" && token !== undefined && token !== "" ? token : undefined;
}

const PROTOCOL_PREFIX = "base64url.bearer.authorization.k8s.io.";

/** A bearer token inside `Sec-WebSocket-Protocol` (`k8s.io/apiserver pkg/authentication/request/websocket`). */
export function createWebSocketTokenAuthenticator(tokens: TokenAuthenticator): RequestAuthenticator {
  return {
    name: "websocket-bearer-token",
    authenticate: async ({ rawHeaders, source }) => {
      const token = webSocketToken(rawHeaders);
      return token === undefined ? undefined : requireKnown(tokens, token, source);
    },
  };
}

/** Throws when a token is there twice, badly encoded, or the only protocol. */
export function webSocketToken(rawHeaders: readonly string[]): string | undefined {
  if (!isWebSocketRequest(rawHeaders)) {
    return undefined;
  }
  const protocols = headerValues(rawHeaders, "sec-websocket-protocol").flatMap((value) =>
    value.split(",").map((protocol) => protocol.trim()),
  );
  const encoded = protocols.filter((protocol) => protocol.startsWith(PROTOCOL_PREFIX));
  const [first] = encoded;
  if (first === undefined) {
    return undefined;
  }
  if (encoded.length > 1) {
    throw refusal("multiple base64.bearer.authorization tokens specified");
  }
  const text = first.slice(PROTOCOL_PREFIX.length);
  const bytes = Buffer.from(text, "base64url");
  // Node skips what is not base64url; only text that survives the way back was clean.
  if (bytes.toString("base64url") !== text) {
    throw refusal("invalid base64.bearer.authorization token encoding");
  }
  let token: string;
  try {
    token = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw refusal("invalid base64.bearer.authorization token");
  }
  if (token === "") {
    return undefined;
  }
  if (protocols.length === 1) {
    throw refusal("missing additional subprotocol");
  }
  return token;
}

function isWebSocketRequest(rawHeaders: readonly string[]): boolean {
  const asks = (header: string, wanted: string): boolean =>
    headerValues(rawHeaders, header).some((value) =>
      value.split(",").some((part) => part.trim().toLowerCase() === wanted),
    );
  return asks("connection", "upgrade") && asks("upgrade", "websocket");
}

function refusal(message: string): LanyardError {
  return new LanyardError({ code: "request.invalidBearerToken", message, httpStatus: 401 });
}
