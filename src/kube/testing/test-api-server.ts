import { createHash } from "node:crypto";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";

import { createCertificateAuthority, issueServingCertificate } from "../../pki/certificate-authority.ts";
import type { KeyPairPem } from "../../pki/key-pair.ts";
import type { ConfigMap } from "../objects.ts";

/** What the server saw of one request. */
export interface SeenRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  readonly kind: "list" | "watch" | "other";
}

/** Answers a request itself; `false` leaves it to the server. */
export type Intercept = (request: SeenRequest, response: ServerResponse) => boolean | Promise<boolean>;

/**
 * An HTTPS server that keeps ConfigMaps of one namespace like an API server, and breaks as a network or an API server
 * would: for wire faults that a real kube-apiserver cannot be made to show.
 */
export interface TestApiServer {
  readonly serverUrl: string;
  readonly caPem: string;
  readonly requests: readonly SeenRequest[];
  /** TLS connections ever accepted. */
  connectionCount(): number;
  openConnections(): number;
  intercept(next: Intercept | undefined): void;
  /** Changes the content; every watch learns it. */
  put(name: string, value: string): void;
  remove(name: string): void;
  objects(): readonly ConfigMap[];
  /** Sends to all open watches: raw bytes, or a frame. */
  sendRaw(bytes: Uint8Array): void;
  bookmark(): void;
  /** From now on older versions are answered with 410. */
  forgetHistory(): void;
  /** Ends all watches: in order, by a reset, or in the middle of a frame. */
  cutWatches(how: "end" | "reset" | "partial"): void;
  openWatches(): number;
  /** A new certificate of a new CA for connections to come; answers that CA. */
  changeAuthority(): Promise<string>;
  /** Resets every connection. */
  cutConnections(): void;
  /** Stops listening and resets everything; `listen` comes back on the same port. */
  stopListening(): Promise<void>;
  listen(): Promise<void>;
  close(): Promise<void>;
}

export async function createTestApiServer(
  options: { readonly maxVersion?: "TLSv1.2" | "TLSv1.3" } = {},
): Promise<TestApiServer> {
  let authority = await newAuthority();
  const server = createServer({
    ...(await serving(authority)),
    maxVersion: options.maxVersion ?? "TLSv1.3",
    ALPNProtocols: ["h2", "http/1.1"],
  });
  const seen: SeenRequest[] = [];
  const sockets = new Set<TLSSocket>();
  const watches = new Set<ServerResponse>();
  const stored = new Map<string, ConfigMap>();
  let history: { readonly version: string; readonly frame: string }[] = [];
  let step = 0;
  let version = nextVersion();
  let accepted = 0;
  let interceptor: Intercept | undefined;

  /** Opaque on purpose: whoever compares versions as numbers gets lost. */
  function nextVersion(): string {
    step++;
    return String(createHash("sha256").update(String(step)).digest().readUInt32BE());
  }

  function record(type: string, object: ConfigMap): void {
    const frame = `${JSON.stringify({ type, object })}\n`;
    history.push({ version, frame });
    for (const watch of watches) {
      watch.write(frame);
    }
  }

  function answer(response: ServerResponse, status: number, body: unknown): void {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  }

  const expired = {
    kind: "Status",
    apiVersion: "v1",
    metadata: {},
    status: "Failure",
    reason: "Expired",
    code: 410,
    message: "too old resource version",
  };

  function list(url: URL, response: ServerResponse): void {
    const all = [...stored.values()].toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
    const [from = "0", at = version] = url.searchParams.get("continue")?.split(":") ?? [];
    if (at !== version) {
      answer(response, 410, expired);
      return;
    }
    const limit = Number(url.searchParams.get("limit") ?? all.length);
    const end = Number(from) + limit;
    answer(response, 200, {
      kind: "ConfigMapList",
      apiVersion: "v1",
      metadata: { resourceVersion: version, continue: end < all.length ? `${end}:${version}` : "" },
      // As a kube-apiserver does for built-in kinds: no apiVersion and kind in items.
      items: all.slice(Number(from), end).map(({ metadata, data }) => ({ metadata, data })),
    });
  }

  function watch(url: URL, response: ServerResponse): void {
    const from = url.searchParams.get("resourceVersion");
    const index = history.findIndex((entry) => entry.version === from);
    response.writeHead(200, { "content-type": "application/json" });
    response.flushHeaders();
    if (from !== version && index < 0) {
      response.end(`${JSON.stringify({ type: "ERROR", object: expired })}\n`);
      return;
    }
    for (const { frame } of from === version ? [] : history.slice(index + 1)) {
      response.write(frame);
    }
    watches.add(response);
    response.on("close", () => watches.delete(response));
  }

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let body = "";
    for await (const chunk of request) {
      body += String(chunk);
    }
    const url = new URL(request.url ?? "/", "https://test");
    const collection = request.method === "GET" && url.pathname.endsWith("/configmaps");
    const entry: SeenRequest = {
      method: request.method ?? "",
      url,
      headers: request.headers,
      body,
      kind: !collection ? "other" : url.searchParams.get("watch") === "true" ? "watch" : "list",
    };
    seen.push(entry);
    if (interceptor !== undefined && (await interceptor(entry, response))) {
      return;
    }
    if (entry.kind === "watch") {
      watch(url, response);
    } else if (entry.kind === "list") {
      list(url, response);
    } else {
      answer(
        response,
        200,
        body === "" ? { kind: "Anything", apiVersion: "v1", metadata: {} } : JSON.parse(body),
      );
    }
  };

  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    handle(request, response).catch(() => response.destroy());
  });
  server.on("secureConnection", (socket) => {
    accepted++;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;

  const cutConnections = (): void => {
    for (const socket of sockets) {
      socket.destroy();
    }
  };
  const stopListening = async (): Promise<void> => {
    const closed = once(server, "close");
    server.close();
    cutConnections();
    server.closeAllConnections();
    await closed;
  };

  return {
    serverUrl: `https://127.0.0.1:${port}`,
    caPem: authority.certificatePem,
    requests: seen,
    connectionCount: () => accepted,
    openConnections: () => sockets.size,
    intercept: (next) => {
      interceptor = next;
    },
    put: (name, value) => {
      const before = stored.get(name);
      version = nextVersion();
      const object: ConfigMap = {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: {
          name,
          namespace: "default",
          uid: before?.metadata.uid ?? `uid-${step}`,
          resourceVersion: version,
        },
        data: { value },
      };
      stored.set(name, object);
      record(before === undefined ? "ADDED" : "MODIFIED", object);
    },
    remove: (name) => {
      const before = stored.get(name);
      if (before !== undefined) {
        stored.delete(name);
        version = nextVersion();
        record("DELETED", { ...before, metadata: { ...before.metadata, resourceVersion: version } });
      }
    },
    objects: () => [...stored.values()],
    sendRaw: (bytes) => {
      for (const watch of watches) {
        watch.write(bytes);
      }
    },
    bookmark: () => {
      for (const watch of watches) {
        const object = { kind: "ConfigMap", apiVersion: "v1", metadata: { resourceVersion: version } };
        watch.write(`${JSON.stringify({ type: "BOOKMARK", object })}\n`);
      }
    },
    forgetHistory: () => {
      history = [];
      version = nextVersion();
    },
    cutWatches: (how) => {
      for (const watch of watches) {
        watches.delete(watch);
        if (how === "reset") {
          watch.destroy();
        } else {
          watch.end(how === "partial" ? '{"type":"ADDED","object":{"metad' : undefined);
        }
      }
    },
    openWatches: () => watches.size,
    changeAuthority: async () => {
      authority = await newAuthority();
      server.setSecureContext(await serving(authority));
      return authority.certificatePem;
    },
    cutConnections,
    stopListening,
    listen: async () => {
      server.listen(port, "127.0.0.1");
      await once(server, "listening");
    },
    close: async () => {
      if (server.listening) {
        await stopListening();
      }
    },
  };
}

const hour = 3_600_000;

function validity(): { readonly notBefore: Date; readonly notAfter: Date } {
  const now = new Date().getTime();
  return { notBefore: new Date(now - hour), notAfter: new Date(now + 24 * hour) };
}

function newAuthority(): Promise<KeyPairPem> {
  return createCertificateAuthority({ commonName: "Test API Server CA", ...validity() });
}

async function serving(authority: KeyPairPem): Promise<{ readonly cert: string; readonly key: string }> {
  const pair = await issueServingCertificate(authority, {
    dnsNames: ["api.test"],
    ipAddresses: ["127.0.0.1"],
    ...validity(),
  });
  return { cert: pair.certificatePem, key: pair.privateKeyPem };
}
