import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { LoopbackCertificate } from "./certificates.ts";
import { createLoopbackCertificate } from "./certificates.ts";
import { readBody, sendJson, startTlsServer } from "./tls-server.ts";

/** `authentication/v1 UserInfo` as a webhook answers it. */
export interface WebhookUser {
  readonly username?: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export interface SeenReview {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
}

export interface WebhookOptions {
  /** Who has which token. */
  readonly tokens: Readonly<Record<string, WebhookUser>>;
  /** The versions it speaks; a review in another one is refused with 400. Default both. */
  readonly versions?: readonly ("v1beta1" | "v1")[];
  /** Answers instead of the webhook when it returns true. */
  readonly intercept?: (seen: SeenReview, response: ServerResponse, request: IncomingMessage) => boolean;
  readonly certificate?: LoopbackCertificate;
  /** Default: any free port. */
  readonly port?: number;
}

/** A TokenReview webhook over TLS on loopback. */
export interface TestWebhook {
  readonly endpoint: string;
  readonly port: number;
  readonly caPem: string;
  /** Every review that came in, in order. */
  readonly seen: readonly SeenReview[];
  connections(): number;
  stop(): Promise<void>;
  start(): Promise<void>;
}

export async function startWebhook(options: WebhookOptions): Promise<TestWebhook> {
  const certificate = options.certificate ?? (await createLoopbackCertificate());
  const versions = options.versions ?? ["v1beta1", "v1"];
  const seen: SeenReview[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const text = await readBody(request);
    const review = JSON.parse(text) as {
      readonly apiVersion?: string;
      readonly spec?: { readonly token?: string };
    };
    const entry = {
      method: request.method ?? "",
      url: request.url ?? "",
      headers: request.headers,
      body: review,
    };
    seen.push(entry);
    if (options.intercept?.(entry, response, request) === true) {
      return;
    }
    if (!versions.some((version) => review.apiVersion === `authentication.k8s.io/${version}`)) {
      sendJson(response, 400, {
        message: `no kind TokenReview is registered for ${review.apiVersion ?? "nothing"}`,
      });
      return;
    }
    const token = review.spec?.token ?? "";
    const user = Object.hasOwn(options.tokens, token) ? options.tokens[token] : undefined;
    const status = user === undefined ? { authenticated: false } : { authenticated: true, user };
    sendJson(response, 200, { kind: "TokenReview", apiVersion: review.apiVersion, status });
  };
  const server = await startTlsServer(
    certificate,
    (request, response) => {
      answer(request, response).catch(() => response.destroy());
    },
    options.port,
  );
  return {
    endpoint: `${server.origin}/authenticate`,
    port: server.port,
    caPem: certificate.caPem,
    seen,
    connections: server.connections,
    stop: server.stop,
    start: server.start,
  };
}
