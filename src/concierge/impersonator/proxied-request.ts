import type { TLSSocket } from "node:tls";

/** A request as it came in, whatever the protocol: nothing of it is trusted, nothing is changed. */
export interface InboundRequest {
  readonly protocol: "HTTP/1.1" | "HTTP/2.0";
  readonly method: string;
  /** The request target, byte for byte. */
  readonly target: string;
  /** Name and value pairs as latin1, repeats kept (H4). HTTP/2's pseudo headers are not among them; `:authority` comes as `host`. */
  readonly rawHeaders: readonly string[];
  /** The connection: whose certificate, and which peer. */
  readonly socket: TLSSocket;
  /** The peer's address when the connection began; it is gone from a socket that has closed. */
  readonly peerAddress: string | undefined;
  /** Whether the client asks to leave HTTP (`Connection: Upgrade`, HTTP/1.1 only). */
  readonly upgrade: boolean;
}

/** What goes to the kube-apiserver in the client's place. */
export interface ForwardInstructions {
  /**
   * Pairs, latin1, put in after every header that says who somebody is was taken out (engineering.md 4.3): the credential and
   * the impersonation headers. Empty for an anonymous request (S14).
   */
  readonly identityHeaders: readonly string[];
  /** Ours goes upstream; the client's was only logged (S17). */
  readonly auditID: string;
  /** Watches, logs, sessions: no time limit (contract 7.7). */
  readonly longRunning: boolean;
  /** For everything else, milliseconds from now; then 504. */
  readonly deadlineMilliseconds: number;
  /** A TokenCredentialRequest: the exchange is told that it came through the proxy (S9). */
  readonly marksExchange: boolean;
}

/** An answer that the proxy gives itself. */
export interface Refusal {
  readonly status: number;
  /** Pairs, besides those of every answer. */
  readonly headers: readonly string[];
  readonly body: string;
  /** What was sent before cannot be trusted to be read to its end. */
  readonly closeConnection: boolean;
}

export type Verdict =
  | { readonly kind: "forward"; readonly forward: ForwardInstructions }
  | { readonly kind: "refuse"; readonly refusal: Refusal };

/** How a request ended, as the engine saw it. */
export interface Outcome {
  /** What the client was answered; undefined when it left before. */
  readonly status: number | undefined;
  readonly bytesReceived: number;
  readonly bytesSent: number;
  /** `complete`, or who or what ended it early. */
  readonly end: "complete" | "client-gone" | "upstream-error" | "deadline" | "cut";
}

/** One request on its way: made by the steps, driven by the engine. */
export interface ProxiedRequest {
  readonly auditID: string;
  /** Never rejects. */
  readonly verdict: Promise<Verdict>;
  /** Aborted when an open stream must end (S15, S16); the engine closes both sides. */
  readonly cut: AbortSignal;
  /** The engine saw the upstream take it: a stream begins (audit, S16). Called for long-running requests and upgrades, once. */
  streamStarted(status: number): void;
  /** Exactly once, whatever happened. */
  finished(outcome: Outcome): void;
}

/** The ordered list of steps, the same for HTTP/1.1, HTTP/2 and upgrades. */
export interface ProxyPipeline {
  begin(request: InboundRequest): ProxiedRequest;
}
