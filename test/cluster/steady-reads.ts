import { connect as connectHttp2, constants } from "node:http2";
import type { ClientHttp2Session } from "node:http2";
import type { RequestOptions } from "node:https";
import type { Answer } from "../integration/harness/http.ts";

/** GET requests on a few lasting HTTP/2 connections, as kubectl and client-go send them. */
export interface Http2Reads {
  get(path: string): Promise<Answer>;
  /** Requests that the server said it never looked at, and that were asked again, as Go's client does by itself. */
  readonly refused: number;
  close(): void;
}

export function createHttp2Reads(server: string, tls: RequestOptions, connections: number): Http2Reads {
  const sessions: (ClientHttp2Session | undefined)[] = Array.from({ length: connections });
  let turn = 0;
  let refused = 0;
  const sessionAt = (index: number): ClientHttp2Session => {
    const present = sessions[index];
    if (present !== undefined && !present.closed && !present.destroyed) {
      return present;
    }
    const opened = connectHttp2(server, tls as object);
    opened.on("error", () => {});
    // One that is about to go finishes what it has, and takes nothing more.
    opened.on("goaway", () => {
      sessions[index] = undefined;
      opened.close();
    });
    sessions[index] = opened;
    return opened;
  };
  const ask = (path: string): Promise<Answer> =>
    new Promise((resolve, reject) => {
      turn += 1;
      const stream = sessionAt(turn % connections).request({ ":path": path });
      let answer: Answer = { status: 0, headers: {}, text: "" };
      let failure: unknown;
      stream.setEncoding("utf8");
      stream.on("response", (headers) => {
        answer = { ...answer, status: Number(headers[":status"]), headers };
      });
      stream.on("data", (text: string) => {
        answer = { ...answer, text: answer.text + text };
      });
      stream.on("error", (error) => {
        failure = error;
      });
      stream.setTimeout(30_000, () => stream.destroy(new Error("no answer within 30 s")));
      stream.on("close", () => {
        if (stream.rstCode === constants.NGHTTP2_REFUSED_STREAM) {
          reject(new NotLookedAt());
        } else if (failure !== undefined || stream.rstCode !== 0 || !stream.readableEnded) {
          reject(
            failure instanceof Error ? failure : new Error(`the stream was reset with ${stream.rstCode}`),
          );
        } else {
          resolve(answer);
        }
      });
    });
  return {
    get: async (path) => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await ask(path);
        } catch (error) {
          if (!(error instanceof NotLookedAt) || attempt > connections) {
            throw error;
          }
          refused += 1;
        }
      }
    },
    get refused() {
      return refused;
    },
    close: () => sessions.forEach((session) => session?.destroy()),
  };
}

/** REFUSED_STREAM, or a stream above the last one of a GOAWAY: safe to repeat (RFC 9113 section 8.7). */
class NotLookedAt extends Error {
  constructor() {
    super("the server refused the stream before it looked at the request");
    this.name = "NotLookedAt";
  }
}
