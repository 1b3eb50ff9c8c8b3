import { readFileSync } from "node:fs";
import { request } from "node:https";

import type { KeyPairFiles } from "./pki.ts";

/** An answer of the kube-apiserver. */
export interface ApiAnswer {
  readonly status: number;
  readonly text: string;
}

/** Requests to a kube-apiserver with one client certificate. */
export interface ApiClient {
  /** Rejects only when there is no answer at all. */
  send(method: string, path: string, body?: unknown): Promise<ApiAnswer>;
  /** Creates an object; one that exists already is fine. Other answers reject. */
  create(path: string, body: unknown): Promise<void>;
}

/** A client for the time in which kubectl would start up. */
export function createApiClient(url: string, caPath: string, certificate: KeyPairFiles): ApiClient {
  const tls = {
    ca: readFileSync(caPath),
    cert: readFileSync(certificate.cert),
    key: readFileSync(certificate.key),
  };
  const send = (method: string, path: string, body?: unknown): Promise<ApiAnswer> =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? "" : JSON.stringify(body);
      const outgoing = request(new URL(path, url), {
        ...tls,
        method,
        agent: false,
        timeout: 10_000,
        headers:
          body === undefined
            ? {}
            : { "content-type": "application/json", "content-length": Buffer.byteLength(text) },
      });
      outgoing.on("error", reject);
      outgoing.on("timeout", () => outgoing.destroy(new Error(`${method} ${path}: no answer in 10 s`)));
      outgoing.on("response", (response) => {
        let received = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => (received += chunk));
        response.on("error", reject);
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text: received }));
      });
      outgoing.end(text);
    });
  return {
    send,
    async create(path, body) {
      const answer = await send("POST", path, body);
      if (answer.status >= 300 && answer.status !== 409) {
        throw new Error(`POST ${path}: ${answer.status} ${answer.text.slice(0, 300)}`);
      }
    },
  };
}
