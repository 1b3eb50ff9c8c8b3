import type { TLSSocket } from "node:tls";
import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { Logger } from "../../telemetry/log.ts";
import { TIMED_OUT } from "./forward.ts";
import {
  connectionOptions,
  outgoingRequestHeaders,
  outgoingResponseHeaders,
  ownResponseHeaders,
} from "./outgoing-headers.ts";
import type { FrontProxyHeaders } from "./outgoing-headers.ts";
import type {
  ForwardInstructions,
  InboundRequest,
  Outcome,
  ProxiedRequest,
  ProxyPipeline,
  Refusal,
} from "./proxied-request.ts";
import type { RunningExchanges } from "./running-exchanges.ts";
import { upstreamFault } from "./upstream-connection.ts";
import { answerSocket, endSocket, headerOf, responseHead } from "./upgrade-answer.ts";
import type { UpstreamEndpoint } from "./upstream-endpoint.ts";
import { createResponseParser } from "./upstream-response-parser.ts";

export interface TunnelOptions {
  readonly pipeline: ProxyPipeline;
  readonly endpoint: UpstreamEndpoint;
  readonly frontProxyHeaders: () => FrontProxyHeaders | undefined;
  readonly running: RunningExchanges;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface UpgradeRequest {
  readonly inbound: InboundRequest;
  readonly socket: TLSSocket;
  /** What came together with the request. */
  readonly early: Buffer;
  readonly body: "none" | number | undefined;
}

/** How long the kube-apiserver may take to agree; afterwards there is no limit. */
const AGREEMENT_MILLISECONDS = 60_000;
/** Sent before the 101; more waits in the kernel. */
const MAXIMUM_EARLY_BYTES = 64 * 1024;
const JSON_TYPE = ["Content-Type", "application/json"];

/**
 * Drives requests that leave HTTP (engineering.md 4.3.6): a connection of their own, nothing is passed on before a verified
 * 101, any other answer is relayed and ends both sides.
 */
export function createTunnels(options: TunnelOptions): (upgrade: UpgradeRequest) => void {
  const { pipeline, log } = options;
  return (upgrade) => {
    const { inbound } = upgrade;
    const request = pipeline.begin(inbound);
    const tunnel = createTunnel(options, upgrade, request);
    request.verdict.then(
      (verdict) => {
        if (tunnel.over) {
          return;
        }
        if (verdict.kind === "refuse") {
          tunnel.refuse(verdict.refusal);
        } else {
          tunnel.open(verdict.forward);
        }
      },
      (error: unknown) => {
        log.error("the steps of an upgrade failed", error, { auditID: request.auditID });
        tunnel.refuse({ status: 502, headers: [], body: "", closeConnection: true });
      },
    );
  };
}

interface Tunnel {
  readonly over: boolean;
  refuse(refusal: Refusal): void;
  open(instructions: ForwardInstructions): void;
}

function createTunnel(
  options: TunnelOptions,
  { inbound, socket: client, early, body }: UpgradeRequest,
  request: ProxiedRequest,
): Tunnel {
  const { endpoint, running, clock, log } = options;
  const wanted = headerOf(inbound.rawHeaders, "upgrade") ?? "";
  let over = false;
  let status: number | undefined;
  let end: Outcome["end"] | undefined;
  let bytesReceived = 0;
  let bytesSent = 0;
  let upstream: TLSSocket | undefined;
  let switched = false;
  let admitted = false;
  let answered = false;
  let stopWaiting = (): void => {};
  let held: Buffer[] = early.length > 0 ? [early] : [];
  let heldBytes = early.length;

  const finish = (how: Outcome["end"]): void => {
    if (over) {
      return;
    }
    over = true;
    stopWaiting();
    if (admitted) {
      running.leave(true, self);
      request.cut.removeEventListener("abort", cut);
    }
    upstream?.destroy();
    request.finished({ status, bytesReceived, bytesSent, end: end ?? how });
  };
  const cut = (): void => {
    end ??= "cut";
    upstream?.destroy();
    client.destroy();
  };
  const give = (code: number, headers: readonly string[], text: string): void => {
    if (answered || over) {
      return;
    }
    answered = true;
    status = code;
    bytesSent += Buffer.byteLength(text);
    upstream?.destroy();
    answerSocket(client, code, ownResponseHeaders(request.auditID, headers), text);
  };
  const fail = (error: unknown): void => {
    if (over || end !== undefined) {
      return;
    }
    log.debug("an upgrade failed", { auditID: request.auditID, error: messageOf(error) });
    end = "upstream-error";
    if (status === undefined) {
      give(502, [], "");
    } else {
      client.destroy();
    }
  };

  client.setTimeout(0);
  client.setNoDelay(true);
  client.on("data", (chunk: Buffer) => {
    if (answered) {
      return;
    }
    if (!switched || upstream === undefined) {
      held.push(chunk);
      heldBytes += chunk.length;
      if (heldBytes > MAXIMUM_EARLY_BYTES) {
        client.pause();
      }
      return;
    }
    bytesReceived += chunk.length;
    if (!upstream.write(chunk)) {
      client.pause();
    }
  });
  client.on("drain", () => upstream?.resume());
  client.on("end", () => {
    if (switched) {
      upstream?.end();
    } else {
      client.destroy();
    }
  });
  client.on("close", () => finish(answered || switched ? "complete" : "client-gone"));

  /** From here on both sides are bytes. */
  const join = (server: TLSSocket, headers: readonly string[], first: Buffer): void => {
    stopWaiting();
    switched = true;
    status = 101;
    const kept: string[] = [];
    for (let index = 0; index < headers.length; index += 2) {
      if (headers[index]?.toLowerCase() !== "audit-id") {
        kept.push(headers[index] ?? "", headers[index + 1] ?? "");
      }
    }
    client.cork();
    client.write(responseHead(101, [...kept, ...ownResponseHeaders(request.auditID, [])]), "latin1");
    if (first.length > 0) {
      bytesSent += first.length;
      client.write(first);
    }
    client.uncork();
    request.streamStarted(101);
    for (const chunk of held) {
      bytesReceived += chunk.length;
      server.write(chunk);
    }
    held = [];
    server.on("drain", () => client.resume());
    client.resume();
  };

  const follow = (server: TLSSocket): void => {
    let agreedHeaders: readonly string[] = [];
    const parser = createResponseParser({
      informational: () => {},
      head: (code, headers, length) => {
        if (code === 101) {
          const agreed = headerOf(headers, "upgrade");
          if (
            agreed?.toLowerCase() !== wanted.toLowerCase() ||
            !connectionOptions(headers).includes("upgrade")
          ) {
            throw upstreamFault("the kube-apiserver switched to a protocol that nobody asked for");
          }
          agreedHeaders = headers;
          return;
        }
        answered = true;
        status = code;
        const outgoing = outgoingResponseHeaders(headers, request.auditID, length, {
          head: false,
          status: code,
        });
        client.write(responseHead(code, [...outgoing, "Connection", "close"]), "latin1");
      },
      data: (chunk) => {
        bytesSent += chunk.length;
        if (!client.write(chunk)) {
          server.pause();
        }
      },
      end: () => {
        stopWaiting();
        endSocket(client);
        server.destroy();
      },
    });
    parser.expect({ method: inbound.method, upgrade: true });
    server.on("data", (bytes: Buffer) => {
      if (over) {
        return;
      }
      if (switched) {
        bytesSent += bytes.length;
        if (!client.write(bytes)) {
          server.pause();
        }
        return;
      }
      try {
        parser.push(bytes);
        const { tunnel } = parser;
        if (tunnel !== undefined) {
          join(server, agreedHeaders, tunnel);
        }
      } catch (error) {
        fail(error);
      }
    });
    server.on("end", () => {
      if (switched) {
        client.end();
        return;
      }
      try {
        parser.finish();
      } catch (error) {
        fail(error);
      }
    });
    server.on("close", () => {
      if (switched) {
        // What was written still goes out; a broken connection ends both.
        client.end();
        client.destroySoon();
      } else if (!answered) {
        fail(upstreamFault("the kube-apiserver closed the connection"));
      } else if (!client.writableEnded) {
        client.destroy();
      }
    });
  };

  const self: Tunnel & { close(): void } = {
    get over() {
      return over;
    },
    refuse: (refusal) => give(refusal.status, refusal.headers, refusal.body),
    // Sessions go on until the grace period is over.
    close: () => {},
    open: (instructions) => {
      admitted = true;
      running.enter(true, self);
      if (request.cut.aborted) {
        cut();
        return;
      }
      request.cut.addEventListener("abort", cut, { once: true });
      stopWaiting = clock.schedule(AGREEMENT_MILLISECONDS, () => {
        end ??= "deadline";
        if (status === undefined) {
          give(504, JSON_TYPE, TIMED_OUT);
        } else {
          client.destroy();
        }
      });
      const headers = outgoingRequestHeaders({
        rawHeaders: inbound.rawHeaders,
        frontProxy: options.frontProxyHeaders(),
        clientAddress: inbound.peerAddress,
        identityHeaders: instructions.identityHeaders,
        auditID: instructions.auditID,
        marksExchange: instructions.marksExchange,
      });
      headers.push("Connection", "Upgrade", "Upgrade", wanted);
      if (body === 0) {
        headers.push("Content-Length", "0");
      }
      let head = `${inbound.method} ${endpoint.pathPrefix}${inbound.target} HTTP/1.1\r\n`;
      for (let index = 0; index < headers.length; index += 2) {
        head += `${headers[index]}: ${headers[index + 1]}\r\n`;
      }
      endpoint.connect(["http/1.1"]).then((server) => {
        server.on("error", fail);
        if (over || answered) {
          server.destroy();
          return;
        }
        upstream = server;
        server.setNoDelay(true);
        follow(server);
        server.write(`${head}\r\n`, "latin1");
      }, fail);
    },
  };
  return self;
}
