import type { InboundRequest } from "./proxied-request.ts";

/** How a client's side of an exchange ended. */
export type ClientEnd = "complete" | "gone";

/** What happens on the client's side. Each is called only after `listen`. */
export interface ClientListener {
  /** A part of the body; answers whether more is welcome now. */
  body(chunk: Buffer): boolean;
  bodyEnd(): void;
  /** The answer's next part is welcome again. */
  drained(): void;
}

/** One request and its answer, over HTTP/1.1 or HTTP/2. */
export interface ClientExchange {
  readonly inbound: InboundRequest;
  /** `none`, or the declared length, or undefined when none was declared. */
  readonly body: "none" | number | undefined;
  readonly expectsContinue: boolean;
  /** What of the body is here already, without waiting. */
  takeBody(): Buffer | undefined;
  /** Whether all of the body was read. */
  readonly bodyComplete: boolean;
  listen(listener: ClientListener): void;
  resumeBody(): void;
  /** Called once, when everything was sent or the client has left. */
  onEnd(callback: (end: ClientEnd) => void): void;
  informational(status: number, headers: readonly string[]): void;
  /** A complete answer, in one write where it is small. `headers` are pairs, latin1, with the length among them. */
  answer(status: number, headers: readonly string[], body: Buffer | undefined, close: boolean): void;
  /** The head of an answer; it goes out with the first part of the body or with `flush`. */
  begin(status: number, headers: readonly string[], hasTrailers: boolean): void;
  flush(): void;
  /** Answers whether more is welcome now. */
  write(chunk: Buffer): boolean;
  end(trailers: readonly string[]): void;
  /** Breaks the answer off, so that nobody takes it for complete. */
  reset(): void;
}
