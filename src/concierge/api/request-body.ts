import type { IncomingMessage } from "node:http";
import { LanyardError } from "../../errors.ts";
import { MAXIMUM_BODY_BYTES } from "../request/limits.ts";
import { requestEntityTooLarge, StatusError } from "../request/status.ts";

/**
 * The whole body. One that is too long is a 413 Status as soon as that is known, before the rest is read (L4); the
 * connection ends with the answer. Rejects with `request.canceled` when the caller leaves in between.
 */
export async function readBody(request: IncomingMessage, limit = MAXIMUM_BODY_BYTES): Promise<Buffer> {
  const tooLarge = (): StatusError =>
    new StatusError(requestEntityTooLarge(limit), { closeConnection: true });
  const announced = Number(request.headers["content-length"] ?? 0);
  if (announced > limit) {
    throw tooLarge();
  }
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let length = 0;
  const stop = (): void => {
    request.off("data", take);
    request.off("end", end);
    request.off("error", leave);
    request.off("close", leave);
  };
  const take = (chunk: Buffer): void => {
    length += chunk.length;
    if (length > limit) {
      stop();
      request.pause();
      reject(tooLarge());
      return;
    }
    chunks.push(chunk);
  };
  const end = (): void => {
    stop();
    resolve(Buffer.concat(chunks, length));
  };
  const leave = (): void => {
    stop();
    reject(
      new LanyardError({ code: "request.canceled", message: "the caller left before the body was complete" }),
    );
  };
  request.on("data", take);
  request.on("end", end);
  request.on("error", leave);
  request.on("close", leave);
  return await promise;
}

/** As in Go's server, what is left of a body is only read away when it is small. */
const READ_AWAY_BYTES = 256 * 1024;

/** Whether much, or nobody knows how much, of a body has not come yet. */
export function hasBigUnreadBody(request: IncomingMessage): boolean {
  if (request.complete) {
    return false;
  }
  const announced = request.headers["content-length"];
  return announced === undefined
    ? request.headers["transfer-encoding"] !== undefined
    : Number(announced) > READ_AWAY_BYTES;
}
