import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";

/** Whom a request is made as; nothing means anonymous. */
export interface Caller {
  readonly certificatePem?: string;
  readonly privateKeyPem?: string;
  readonly bearerToken?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

export interface Call {
  readonly method?: string;
  /** Base URL of the server, e.g. `https://127.0.0.1:6443`. */
  readonly server: string;
  readonly path: string;
  readonly caPem: string;
  /** The name the server's certificate must hold, where it differs from the URL's. */
  readonly serverName?: string;
  /** A list is sent as one header each. */
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string | Buffer | undefined;
  readonly caller?: Caller;
  readonly agent?: Agent;
}

/** One HTTPS request with Node's own client; every status is an answer. Errors of the socket have Node's `reusedSocket`. */
export function call(options: Call): Promise<Answer> {
  const { caller = {} } = options;
  return new Promise((resolve, reject) => {
    const outgoing = request(
      new URL(options.path, options.server),
      {
        method: options.method ?? (options.body === undefined ? "GET" : "POST"),
        headers: {
          ...(caller.bearerToken === undefined ? {} : { authorization: `Bearer ${caller.bearerToken}` }),
          ...(options.body === undefined
            ? {}
            : {
                "content-type": "application/json",
                "content-length": String(Buffer.byteLength(options.body)),
              }),
          ...options.headers,
        },
        ca: options.caPem,
        ...(options.serverName === undefined ? {} : { servername: options.serverName }),
        ...(caller.certificatePem === undefined
          ? {}
          : { cert: caller.certificatePem, key: caller.privateKeyPem }),
        agent: options.agent ?? new Agent({ keepAlive: false }),
        timeout: 30_000,
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            text: Buffer.concat(chunks).toString("utf8"),
          }),
        );
      },
    );
    outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer within 30 s from ${options.server}`)));
    outgoing.on("error", (error) => {
      reject(Object.assign(error, { reusedSocket: outgoing.reusedSocket }));
    });
    outgoing.end(options.body);
  });
}

export function readText(path: string): string {
  return readFileSync(path, "utf8");
}
