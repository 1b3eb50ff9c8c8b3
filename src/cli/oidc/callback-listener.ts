import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { CommandLog } from "../log.ts";
import { describeAuthorizationError } from "./authorization-error.ts";
import { answerCallback, readForm, SECURITY_HEADERS } from "./callback-answer.ts";

/** Milliseconds (contract cli.md 4.6). */
const HEADERS_TIMEOUT = 10_000;
const GRACEFUL_STOP = 100;
/** `[::1]` only where the host has no IPv4. */
const LOOPBACK = ["127.0.0.1", "::1"];

export interface CallbackListenerOptions<T> {
  /** 0: any free one. */
  readonly port: number;
  readonly issuer: string;
  readonly state: string;
  readonly log: CommandLog;
  readonly clock: Clock;
  /** Redeems the code; what it throws is told to the browser, too. */
  readonly redeem: (code: string, redirectUri: string) => Promise<T>;
  /** The first that the host has; default 127.0.0.1, then ::1. */
  readonly addresses?: readonly string[];
}

export interface CallbackListener<T> {
  readonly redirectUri: string;
  /** What the first callback that ends the login came to. */
  readonly outcome: Promise<T>;
  /** Lets what is being answered finish within 100 ms. */
  close(): Promise<void>;
}

/**
 * Waits on loopback for the browser's return (RFC 8252 section 7.3). Requests that name another host are refused: a page elsewhere could point its own name here.
 */
export async function startCallbackListener<T>(
  options: CallbackListenerOptions<T>,
): Promise<CallbackListener<T>> {
  const outcome = Promise.withResolvers<T>();
  // Whoever waits for something else first must not be ended by this.
  outcome.promise.catch(() => {});
  let taken = false;
  let redirectUri = "";
  let hosts: readonly string[] = [];

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const issuerOrigin = new URL(options.issuer).origin;
    if (!hosts.includes(request.headers.host?.toLowerCase() ?? "")) {
      answerCallback(response, 403, "Forbidden: wrong Host");
      return;
    }
    if ((request.url ?? "").split("?", 1)[0] !== "/callback") {
      answerCallback(response, 404, "Not Found");
      return;
    }
    if (request.method === "OPTIONS") {
      answerPreflight(request, response, issuerOrigin, options.log);
      return;
    }
    if (request.method !== "GET" && request.method !== "POST") {
      options.log.info("Pinniped: Got unexpected request on callback listener", { method: request.method });
      answerCallback(response, 405, "Method Not Allowed", { allow: "GET, POST, OPTIONS" });
      return;
    }
    const cors = { "access-control-allow-origin": issuerOrigin, vary: "*" };
    const parameters =
      request.method === "POST"
        ? await readForm(request)
        : new URL(request.url ?? "", "http://localhost").searchParams;
    if (taken) {
      answerCallback(response, 409, "Conflict: this login has had its answer", cors);
      return;
    }
    taken = true;
    const fail = (status: number, title: string, error: Error): void => {
      answerCallback(response, status, `${title}: ${error.message}`, cors);
      outcome.reject(error);
    };
    if (parameters.get("state") !== options.state) {
      fail(403, "Forbidden", new Error("missing or invalid state parameter"));
      return;
    }
    const code = parameters.get("code") ?? "";
    if (code === "" || parameters.has("error")) {
      fail(400, "Bad Request", new Error(describeAuthorizationError(parameters)));
      return;
    }
    try {
      const result = await options.redeem(code, redirectUri);
      answerCallback(response, 200, "you have been logged in and may now close this tab", cors);
      outcome.resolve(result);
    } catch (error) {
      fail(
        400,
        "Bad Request",
        new Error(`could not complete authorization code exchange: ${messageOf(error)}`, { cause: error }),
      );
    }
  };

  const server = createServer(
    { headersTimeout: HEADERS_TIMEOUT, requestTimeout: 2 * HEADERS_TIMEOUT, maxHeaderSize: 65_536 },
    (request, response) => {
      handle(request, response).catch(() => {
        if (!response.headersSent) {
          answerCallback(response, 400, "Bad Request");
        }
      });
    },
  );
  const address = await listen(server, options.port, options.addresses ?? LOOPBACK);
  const host = address.family === "IPv6" ? `[${address.address}]` : address.address;
  redirectUri = `http://${host}:${address.port}/callback`;
  hosts = ["127.0.0.1", "localhost", "[::1]"].map((name) => `${name}:${address.port}`);
  if (address.port === 80) {
    hosts = [...hosts, "127.0.0.1", "localhost", "[::1]"];
  }

  return {
    redirectUri,
    outcome: outcome.promise,
    close: async () => {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeIdleConnections();
      const cancel = options.clock.schedule(GRACEFUL_STOP, () => server.closeAllConnections());
      await closed.promise;
      cancel();
    },
  };
}

async function listen(
  server: ReturnType<typeof createServer>,
  port: number,
  [address, ...others]: readonly string[],
): Promise<AddressInfo> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(port, address, resolve);
  try {
    await promise;
  } catch (error) {
    const isMissing = ["EADDRNOTAVAIL", "EAFNOSUPPORT"].includes((error as NodeJS.ErrnoException).code ?? "");
    if (isMissing && others.length > 0) {
      return await listen(server, port, others);
    }
    throw error;
  } finally {
    server.removeListener("error", reject);
  }
  return server.address() as AddressInfo;
}

/** A page of the issuer asks whether it may post the form here (form_post), across origins and into a more private network. */
function answerPreflight(
  request: IncomingMessage,
  response: ServerResponse,
  issuerOrigin: string,
  log: CommandLog,
): void {
  const { origin } = request.headers;
  if (origin === undefined) {
    log.info("Pinniped: Got OPTIONS request without origin header");
    answerCallback(response, 400, "Bad Request: OPTIONS without an Origin header");
    return;
  }
  log.info("Pinniped: Got CORS preflight request from browser", { origin });
  const requested = request.headers["access-control-request-headers"];
  response.writeHead(204, {
    ...SECURITY_HEADERS,
    "Access-Control-Allow-Origin": issuerOrigin,
    Vary: "*",
    "Access-Control-Allow-Credentials": "false",
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Private-Network": "true",
    ...(requested === undefined ? {} : { "Access-Control-Allow-Headers": requested }),
  });
  response.end();
}
