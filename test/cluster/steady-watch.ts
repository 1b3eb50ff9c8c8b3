import { connect as connectHttp2 } from "node:http2";
import { Agent, request } from "node:https";
import type { RequestOptions } from "node:https";

export type Protocol = "HTTP/1.1" | "HTTP/2";

/** One end of an open watch. `clean`: the body ended as HTTP ends bodies; else what the client saw. */
export interface WatchEnding {
  /** `Date.now`. */
  readonly at: number;
  readonly how: string;
}

/** What a client that always keeps a watch open has seen. */
export interface WatchHistory {
  readonly protocol: Protocol;
  readonly open: boolean;
  /** How often the server began to answer. */
  readonly opened: number;
  /** Of watches that were open. */
  readonly endings: readonly WatchEnding[];
  /** Attempts to open it that the server did not take. */
  readonly refusals: readonly WatchEnding[];
  /** `data.beat` of the object in the newest event. */
  readonly beat: string;
}

export interface SteadyWatch {
  history(): WatchHistory;
  close(): void;
}

export interface SteadyWatchOptions {
  readonly protocol: Protocol;
  readonly server: string;
  readonly path: string;
  readonly tls: RequestOptions;
}

/** How long a client waits before it opens the watch again, as client-go's reflector does at first. */
const REOPEN_MILLISECONDS = 800;

interface Listener {
  opened(status: number): void;
  data(text: string): void;
  ended(how: string): void;
}

/** Keeps a watch on ConfigMaps open, on a connection of its own, and opens it again whenever it ends. */
export function startSteadyWatch(options: SteadyWatchOptions): SteadyWatch {
  const history = { open: false, opened: 0, beat: "" };
  const endings: WatchEnding[] = [];
  const refusals: WatchEnding[] = [];
  let closed = false;
  let close = (): void => {};
  const open = (): void => {
    let over = false;
    let text = "";
    let status = 0;
    const connect = options.protocol === "HTTP/2" ? openHttp2 : openHttp1;
    close = connect(options, {
      opened: (answered) => {
        status = answered;
        if (status === 200) {
          history.open = true;
          history.opened += 1;
        }
      },
      data: (more) => {
        text += more;
        const lines = text.split("\n");
        text = lines.pop() ?? "";
        for (const line of lines) {
          history.beat = /"beat":"([^"]*)"/.exec(line)?.[1] ?? history.beat;
        }
      },
      ended: (how) => {
        if (over || closed) {
          return;
        }
        over = true;
        history.open = false;
        (status === 200 ? endings : refusals).push({
          at: Date.now(),
          how: status === 0 || status === 200 ? how : `${status} ${text}`,
        });
        setTimeout(() => closed || open(), REOPEN_MILLISECONDS).unref();
      },
    });
  };
  open();
  return {
    history: () => ({
      protocol: options.protocol,
      ...history,
      endings: [...endings],
      refusals: [...refusals],
    }),
    close: () => {
      closed = true;
      close();
    },
  };
}

function openHttp1({ server, path, tls }: SteadyWatchOptions, listener: Listener): () => void {
  const agent = new Agent({ keepAlive: false });
  const outgoing = request(new URL(path, server), { ...tls, agent }, (response) => {
    listener.opened(response.statusCode ?? 0);
    response.setEncoding("utf8");
    response.on("data", (text: string) => listener.data(text));
    response.on("error", (error) => listener.ended(String(error)));
    response.on("close", () => listener.ended(response.complete ? "clean" : "broken off"));
  });
  outgoing.on("error", (error) => listener.ended(String(error)));
  outgoing.end();
  return () => outgoing.destroy();
}

function openHttp2({ server, path, tls }: SteadyWatchOptions, listener: Listener): () => void {
  const session = connectHttp2(server, tls as object);
  session.on("error", (error) => listener.ended(String(error)));
  const stream = session.request({ ":path": path });
  stream.setEncoding("utf8");
  stream.on("response", (headers) => listener.opened(Number(headers[":status"])));
  stream.on("data", (text: string) => listener.data(text));
  stream.on("error", (error) => listener.ended(String(error)));
  stream.on("close", () => {
    listener.ended(stream.rstCode === 0 && stream.readableEnded ? "clean" : `reset with ${stream.rstCode}`);
    session.close();
  });
  return () => session.destroy();
}
