import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { Logger } from "../../telemetry/log.ts";
import { encodeStatus, timedOut } from "../request/status.ts";
import type { ClientExchange } from "./client-exchange.ts";
import { outgoingRequestHeaders, outgoingResponseHeaders, ownResponseHeaders } from "./outgoing-headers.ts";
import type { FrontProxyHeaders } from "./outgoing-headers.ts";
import type {
  ForwardInstructions,
  Outcome,
  ProxiedRequest,
  ProxyPipeline,
  Refusal,
} from "./proxied-request.ts";
import type { RunningExchanges } from "./running-exchanges.ts";
import type { Upstream, UpstreamCall, UpstreamSink } from "./upstream.ts";

export interface ForwarderOptions {
  readonly pipeline: ProxyPipeline;
  readonly upstream: Upstream;
  /** Put before every target. */
  readonly pathPrefix: string;
  readonly frontProxyHeaders: () => FrontProxyHeaders | undefined;
  readonly running: RunningExchanges;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Bodies up to this size go out together with their head. */
const SMALL_BODY = 64 * 1024;
const JSON_TYPE = ["Content-Type", "application/json"];
const NO_HEADERS: readonly string[] = [];

export const TIMED_OUT = encodeStatus(timedOut("request did not complete within the allotted timeout"));

/** Drives requests that stay HTTP: asks the steps, then forwards or refuses. */
export function createForwarder(options: ForwarderOptions): (client: ClientExchange) => void {
  const { pipeline, log } = options;
  return (client) => {
    const request = pipeline.begin(client.inbound);
    const exchange = createExchange(options, client, request);
    client.onEnd(exchange.clientEnded);
    request.verdict.then(
      (verdict) => {
        if (exchange.over) {
          return;
        }
        if (verdict.kind === "refuse") {
          exchange.refuse(verdict.refusal);
        } else {
          exchange.forward(verdict.forward);
        }
      },
      (error: unknown) => {
        // The steps promise never to reject; whoever breaks that gets no request through.
        log.error("the steps of a request failed", error, { auditID: request.auditID });
        exchange.fail();
      },
    );
  };
}

function announcesTrailers(headers: readonly string[]): boolean {
  return headers.some(
    (name, index) => index % 2 === 0 && name.length === 7 && name.toLowerCase() === "trailer",
  );
}

interface Exchange {
  readonly over: boolean;
  refuse(refusal: Refusal): void;
  /** 502 without a body (contract 7.7). */
  fail(): void;
  forward(instructions: ForwardInstructions): void;
  clientEnded(end: "complete" | "gone"): void;
}

function createExchange(
  options: ForwarderOptions,
  client: ClientExchange,
  request: ProxiedRequest,
): Exchange {
  const { clock, log, upstream, running } = options;
  const { inbound } = client;
  let over = false;
  let call: UpstreamCall | undefined;
  let end: Outcome["end"] | undefined;
  let status: number | undefined;
  let bytesReceived = 0;
  let bytesSent = 0;
  let begun = false;
  let upstreamDone = false;
  let stopDeadline: (() => void) | undefined;
  /** Of the answer, while nothing of it was sent. */
  let heldHead: readonly string[] | undefined;
  let heldLength: number | undefined;
  let heldBody: Buffer | undefined;
  let longRunning = false;
  let admitted = false;

  const finish = (how: Outcome["end"]): void => {
    if (over) {
      return;
    }
    over = true;
    stopDeadline?.();
    if (admitted) {
      running.leave(longRunning, self);
      if (longRunning) {
        request.cut.removeEventListener("abort", cut);
      }
    }
    request.finished({ status, bytesReceived, bytesSent, end: end ?? how });
  };
  /** Ends the upstream's side; nothing of it is heard any more. */
  const dropUpstream = (): void => {
    if (!upstreamDone) {
      upstreamDone = true;
      call?.abort();
    }
  };
  const ownAnswer = (code: number, headers: readonly string[], body: string, close: boolean): void => {
    const bytes = Buffer.from(body);
    status = code;
    begun = true;
    bytesSent = bytes.length;
    client.answer(
      code,
      [...ownResponseHeaders(request.auditID, headers), "Content-Length", String(bytes.length)],
      bytes,
      close,
    );
  };
  const cut = (): void => {
    end ??= "cut";
    dropUpstream();
    client.reset();
  };
  const deadline = (): void => {
    if (over) {
      return;
    }
    end ??= "deadline";
    dropUpstream();
    if (begun) {
      client.reset();
    } else {
      ownAnswer(504, JSON_TYPE, TIMED_OUT, false);
    }
  };
  const begin = (): void => {
    begun = true;
    const head = heldHead ?? NO_HEADERS;
    client.begin(status ?? 502, head, {
      length: heldLength,
      hasTrailers: announcesTrailers(head),
      prompt: longRunning,
    });
    heldHead = undefined;
  };

  const sink: UpstreamSink = {
    informational: (code, headers) => {
      if (upstreamDone || begun || (code === 100 && !client.expectsContinue)) {
        return;
      }
      client.informational(code, headers);
    },
    head: (code, headers, length) => {
      if (upstreamDone) {
        return;
      }
      status = code;
      heldLength = length;
      heldHead = outgoingResponseHeaders(headers, request.auditID, length, {
        head: inbound.method === "HEAD",
        status: code,
      });
      if (longRunning) {
        request.streamStarted(code);
      }
    },
    data: (chunk) => {
      if (upstreamDone) {
        return true;
      }
      bytesSent += chunk.length;
      if (!begun) {
        if (chunk.length === heldLength && chunk.length <= SMALL_BODY) {
          heldBody = Buffer.from(chunk);
          return true;
        }
        begin();
      }
      return client.write(chunk);
    },
    flush: () => {
      if (upstreamDone || heldHead === undefined || heldBody !== undefined) {
        return;
      }
      begin();
      client.flush();
    },
    end: (trailers) => {
      if (upstreamDone) {
        return;
      }
      upstreamDone = true;
      if (begun) {
        client.end(trailers);
      } else {
        begun = true;
        client.answer(status ?? 502, heldHead ?? NO_HEADERS, heldBody, false);
        heldHead = undefined;
        heldBody = undefined;
      }
    },
    failed: (error) => {
      if (upstreamDone) {
        return;
      }
      upstreamDone = true;
      end ??= "upstream-error";
      log.debug("the kube-apiserver did not answer", { auditID: request.auditID, error: messageOf(error) });
      if (begun) {
        client.reset();
      } else {
        heldHead = undefined;
        ownAnswer(502, NO_HEADERS, "", false);
      }
    },
    drained: () => {
      if (!upstreamDone) {
        client.resumeBody();
      }
    },
  };

  const self: Exchange & { close(): void } = {
    get over() {
      return over;
    },
    refuse: (refusal) => {
      ownAnswer(refusal.status, refusal.headers, refusal.body, refusal.closeConnection);
    },
    fail: () => {
      end ??= "upstream-error";
      ownAnswer(502, NO_HEADERS, "", true);
    },
    forward: (instructions) => {
      ({ longRunning } = instructions);
      admitted = true;
      running.enter(longRunning, self);
      if (longRunning) {
        if (request.cut.aborted) {
          cut();
          return;
        }
        request.cut.addEventListener("abort", cut, { once: true });
      } else {
        stopDeadline = clock.schedule(instructions.deadlineMilliseconds, deadline);
      }
      const headers = outgoingRequestHeaders({
        rawHeaders: inbound.rawHeaders,
        frontProxy: options.frontProxyHeaders(),
        clientAddress: inbound.peerAddress,
        identityHeaders: instructions.identityHeaders,
        auditID: instructions.auditID,
        marksExchange: instructions.marksExchange,
      });
      let firstChunk: Buffer | undefined;
      if (client.body !== "none") {
        firstChunk = client.takeBody();
        bytesReceived += firstChunk?.length ?? 0;
      }
      const { bodyComplete } = client;
      call = upstream.send(
        {
          method: inbound.method,
          target: options.pathPrefix + inbound.target,
          headers,
          body: client.body,
          firstChunk,
          bodyComplete,
          longRunning,
        },
        sink,
      );
      const sent = call;
      if (upstreamDone) {
        return;
      }
      client.listen({
        body: (chunk) => {
          bytesReceived += chunk.length;
          return upstreamDone || sent.write(chunk);
        },
        bodyEnd: () => {
          if (!upstreamDone && !bodyComplete) {
            sent.end();
          }
        },
        drained: () => {
          if (!upstreamDone) {
            sent.resume();
          }
        },
      });
    },
    clientEnded: (how) => {
      dropUpstream();
      finish(how === "complete" ? "complete" : "client-gone");
    },
    close: () => {
      // A stream that is ended properly is opened again elsewhere without an error.
      if (over || upstreamDone) {
        return;
      }
      dropUpstream();
      if (begun && heldLength === undefined) {
        client.end(NO_HEADERS);
      } else {
        client.reset();
      }
    },
  };
  return self;
}
