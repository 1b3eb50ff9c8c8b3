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

/** What is known of a body before it comes. */
export interface AnswerShape {
  /** As the headers declare it. */
  readonly length: number | undefined;
  readonly hasTrailers: boolean;
  /** A stream, none of whose parts may wait for the next. */
  readonly prompt: boolean;
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
  begin(status: number, headers: readonly string[], shape: AnswerShape): void;
  flush(): void;
  /** Takes a copy. Answers whether more is welcome now. */
  write(chunk: Buffer): boolean;
  end(trailers: readonly string[]): void;
  /** Breaks the answer off, so that nobody takes it for complete. */
  reset(): void;
}
