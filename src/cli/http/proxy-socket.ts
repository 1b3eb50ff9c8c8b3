import type { Socket } from "node:net";
import { CommandError } from "../command-error.ts";

/** Where a tunnel leads. */
export interface TunnelTarget {
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
}

const MAXIMUM_HEADER_BYTES = 64 * 1024;

/** Reads exactly as far as `endOf` says; what came behind stays in the socket. */
export async function readUntil(
  socket: Socket,
  endOf: (bytes: Buffer) => number | undefined,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let bytes: Buffer = Buffer.alloc(0);
    const finish = (): void => {
      socket.removeListener("readable", read);
      socket.removeListener("error", fail);
      socket.removeListener("end", ended);
      socket.removeListener("close", ended);
    };
    const fail = (error: Error): void => {
      finish();
      reject(error);
    };
    const ended = (): void => {
      fail(Object.assign(new Error("the proxy closed the connection"), { code: "UND_ERR_SOCKET" }));
    };
    const read = (): void => {
      for (;;) {
        const chunk = socket.read() as Buffer | null;
        if (chunk === null) {
          return;
        }
        bytes = Buffer.concat([bytes, chunk]);
        const end = endOf(bytes);
        if (end !== undefined) {
          finish();
          if (end < bytes.length) {
            socket.unshift(bytes.subarray(end));
          }
          resolve(bytes.subarray(0, end));
          return;
        }
        if (bytes.length > MAXIMUM_HEADER_BYTES) {
          fail(new Error("the proxy's answer is too long"));
          return;
        }
      }
    };
    socket.on("readable", read);
    socket.once("error", fail);
    socket.once("end", ended);
    socket.once("close", ended);
    read();
  });
}

/** `proxyconnect tcp: …` in Go; the address is shown without the part that holds a password. */
export function proxyError(proxy: URL, detail: string, cause?: unknown): CommandError {
  return new CommandError("cli.http.proxy", `proxy ${proxy.protocol}//${proxy.host}: ${detail}`, cause);
}
