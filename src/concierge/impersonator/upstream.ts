/** A request as the kube-apiserver gets it. */
export interface UpstreamRequest {
  readonly method: string;
  /** The request target, byte for byte. */
  readonly target: string;
  /** Pairs, latin1, without framing; `host` among them. */
  readonly headers: readonly string[];
  /** `none`, or the length that the client declared, or undefined when it declared none. */
  readonly body: "none" | number | undefined;
  /** What of the body is there already. */
  readonly firstChunk: Buffer | undefined;
  /** The body is `firstChunk`. */
  readonly bodyComplete: boolean;
  /** Watches, logs and sessions have connections of their own (R4). */
  readonly longRunning: boolean;
}

/** Who awaits the answer. Nothing is called after `end` or `failed`. */
export interface UpstreamSink {
  informational(status: number, headers: readonly string[]): void;
  /** Pairs, latin1. `length`: of the body when it is known; 0 when there is none. */
  head(status: number, headers: readonly string[], length: number | undefined): void;
  /** Answers whether more is welcome now; else `resume` is awaited. The memory of `chunk` is used again after the call. */
  data(chunk: Buffer): boolean;
  /** Nothing more comes at this moment: what was held back should go out. */
  flush(): void;
  end(trailers: readonly string[]): void;
  failed(error: Error): void;
  /** The body's next part is welcome again. */
  drained(): void;
}

/** A request on its way to the kube-apiserver. */
export interface UpstreamCall {
  /** A part of the body; answers whether more is welcome now. */
  write(chunk: Buffer): boolean;
  /** The body is complete. */
  end(): void;
  /** After `data` answered false. */
  resume(): void;
  /** Ends it at once; the sink hears nothing more. */
  abort(): void;
}

/** The way to the kube-apiserver. */
export interface Upstream {
  send(request: UpstreamRequest, sink: UpstreamSink): UpstreamCall;
}
