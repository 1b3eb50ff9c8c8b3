import type { Duplex } from "node:stream";

import { LanyardError } from "../errors.ts";
import {
  createFrameReader,
  createStreamOpener,
  encodePing,
  encodeWindowUpdate,
  protocolError,
} from "./exec-spdy.ts";

/** What came on the two streams of a command; both whole. */
export interface ExecStreams {
  readonly stdout: Buffer;
  /** A `metav1.Status` as JSON (protocol v4 and later). */
  readonly error: Buffer;
}

const ERROR_STREAM = 1;
const STDOUT_STREAM = 3;
/** The Status of a command is small. */
const MAXIMUM_ERROR_BYTES = 64 * 1024;
/** Half of the window that SPDY/3.1 begins with (section 2.6.8). */
const WINDOW_STEP = 32 * 1024;

/**
 * Opens the error stream and stdout on an upgraded connection and reads both to their end. The kubelet tells the end of a
 * stream by a FIN, a reset or by ending the connection. Refusals: `kubernetes.exec.protocol`, `kubernetes.exec.too-large`,
 * `kubernetes.exec.cut`; whatever `signal` aborted with.
 */
export function readExecStreams(
  socket: Duplex,
  head: Uint8Array,
  options: { readonly maximumOutputBytes: number; readonly signal: AbortSignal },
): Promise<ExecStreams> {
  const { maximumOutputBytes, signal } = options;
  const limits = new Map([
    [ERROR_STREAM, MAXIMUM_ERROR_BYTES],
    [STDOUT_STREAM, maximumOutputBytes],
  ]);
  const received = new Map<
    number,
    { readonly chunks: Buffer[]; size: number; acknowledged: number; ended: boolean }
  >([...limits.keys()].map((stream) => [stream, { chunks: [], size: 0, acknowledged: 0, ended: false }]));
  const readFrames = createFrameReader(maximumOutputBytes + MAXIMUM_ERROR_BYTES);

  return new Promise((resolve, reject) => {
    const finish = (outcome: () => void): void => {
      signal.removeEventListener("abort", abort);
      socket.off("data", onData);
      socket.off("end", onEnd);
      socket.off("close", onEnd);
      socket.destroy();
      outcome();
    };
    const fail = (error: unknown): void => finish(() => reject(error));
    const abort = (): void => fail(signal.reason);
    const content = (stream: number): Buffer => Buffer.concat(received.get(stream)?.chunks ?? []);
    const succeed = (): void =>
      finish(() => resolve({ stdout: content(STDOUT_STREAM), error: content(ERROR_STREAM) }));
    const end = (stream: number): void => {
      const part = received.get(stream);
      if (part !== undefined) {
        part.ended = true;
      }
    };
    const take = (stream: number, bytes: Buffer): void => {
      const part = received.get(stream);
      if (part === undefined || part.ended) {
        throw protocolError("data came on a stream that is not open");
      }
      part.size += bytes.length;
      if (part.size > (limits.get(stream) ?? 0)) {
        throw new LanyardError({
          code: "kubernetes.exec.too-large",
          message: `the command wrote more than ${limits.get(stream) ?? 0} bytes`,
        });
      }
      part.chunks.push(Buffer.from(bytes));
      const more = part.size - part.acknowledged;
      if (more >= WINDOW_STEP) {
        socket.write(encodeWindowUpdate(stream, more));
        socket.write(encodeWindowUpdate(0, more));
        part.acknowledged = part.size;
      }
    };
    const onData = (chunk: Uint8Array): void => {
      try {
        for (const frame of readFrames(chunk)) {
          switch (frame.type) {
            case "data":
              take(frame.stream, frame.bytes);
              if (frame.last) end(frame.stream);
              break;
            case "reply":
              if (frame.last) end(frame.stream);
              break;
            case "reset":
              end(frame.stream);
              break;
            case "ping":
              // Ours would have odd numbers, and there are none.
              if (frame.id % 2 === 0) socket.write(encodePing(frame.id));
              break;
            case "goAway":
            case "other":
              break;
          }
          if ([...received.values()].every(({ ended }) => ended)) {
            succeed();
            return;
          }
        }
      } catch (error) {
        fail(error);
      }
    };
    const onEnd = (): void => {
      // A connection that is cut in the middle looks the same; only the Status tells that the command is over.
      if ((received.get(ERROR_STREAM)?.size ?? 0) > 0) {
        succeed();
      } else {
        fail(
          new LanyardError({
            code: "kubernetes.exec.cut",
            message: "the connection ended before the command did",
          }),
        );
      }
    };
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener("abort", abort, { once: true });
    // Its end follows as "close".
    socket.on("error", () => {});
    socket.on("data", onData);
    socket.on("end", onEnd);
    socket.on("close", onEnd);
    const open = createStreamOpener();
    socket.write(
      Buffer.concat([
        open(ERROR_STREAM, { streamtype: "error" }),
        open(STDOUT_STREAM, { streamtype: "stdout" }),
      ]),
    );
    if (head.length > 0) {
      onData(head);
    }
  });
}
