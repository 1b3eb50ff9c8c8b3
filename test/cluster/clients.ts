import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Cluster } from "../../hack/cluster/cluster.ts";
import { insideNetwork } from "../../hack/cluster/network.ts";
import { processMark } from "../../hack/cluster/processes.ts";
import { clusterEnvironment } from "../../hack/cluster/run-command.ts";
import type { WatchHistory } from "./steady-watch.ts";

/** Whom the clients speak to. */
export interface ClientsOrder {
  readonly issuerAddress: string;
  /** URL of the proxy and its CA, base64 of PEM. */
  readonly proxyServer: string;
  readonly proxyCaData: string;
  /** What is asked for through the proxy. */
  readonly readPath: string;
  readonly watchPath: string;
}

export type ClientsCommand =
  | { readonly do: "watch"; readonly count: number }
  | { readonly do: "start"; readonly exchangesPerSecond: number; readonly readsPerSecond: number }
  | { readonly do: "finish" }
  | { readonly do: "watches" };

export interface ClientsAnswer {
  readonly error?: string;
  readonly loads?: LoadReports;
  readonly watches?: readonly WatchHistory[];
}

/** What an open loop of requests met. */
export interface LoadReport {
  readonly perSecond: number;
  readonly sent: number;
  readonly slowestMilliseconds: number;
  /** `at` is when the request began, as of `Date.now`. */
  readonly failures: readonly { readonly at: number; readonly reason: string }[];
}

export interface LoadReports {
  readonly exchanges: LoadReport;
  readonly reads: LoadReport;
  /** Streams that the proxy refused before it looked at them; they were asked again, as Go's client does by itself. */
  readonly refused: number;
  /** Answers 429 with `Retry-After`; they were asked again, as client-go does. */
  readonly shed: number;
  /** Reads over HTTP/1.1 on a kept connection that had just been closed; they were asked again, as Go's client does. */
  readonly stale: number;
}

/** Users of the Concierge, all of them ada, in a process of their own in the cluster's network. */
export interface Clients {
  /** Opens watches through the proxy that are opened again whenever they end. */
  watch(count: number): Promise<void>;
  watches(): Promise<readonly WatchHistory[]>;
  /** Exchanges through the kube-apiserver, and reads through the proxy, over HTTP/1.1 and HTTP/2 in turn. */
  start(rates: { readonly exchangesPerSecond: number; readonly readsPerSecond: number }): Promise<void>;
  finish(): Promise<LoadReports>;
  stop(): Promise<void>;
}

/** Starts them and waits until ada has a credential. */
export async function startClients(cluster: Cluster, order: ClientsOrder): Promise<Clients> {
  const program = join(import.meta.dirname, "steady-clients.ts");
  const [command = "", ...args] = insideNetwork(cluster.folder, cluster.tier, [
    process.execPath,
    program,
    JSON.stringify(order),
  ]);
  const child = spawn(command, args, {
    env: { ...process.env, ...clusterEnvironment(cluster.folder), [processMark]: cluster.folder },
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const exited = once(child, "exit");
  const gone = exited.then(() => {
    throw new Error("the clients' process ended");
  });
  gone.catch(() => {});
  const answer = async (): Promise<ClientsAnswer> => {
    const [message] = (await Promise.race([once(child, "message"), gone])) as [ClientsAnswer];
    if (message.error !== undefined) {
      throw new Error(message.error);
    }
    return message;
  };
  const tell = (told: ClientsCommand): Promise<ClientsAnswer> => {
    const answered = answer();
    child.send(told);
    return answered;
  };
  await answer();
  return {
    watch: async (count) => {
      await tell({ do: "watch", count });
    },
    watches: async () => (await tell({ do: "watches" })).watches ?? [],
    start: async (rates) => {
      await tell({ do: "start", ...rates });
    },
    finish: async () => {
      const { loads } = await tell({ do: "finish" });
      if (loads === undefined) {
        throw new Error("the clients reported nothing");
      }
      return loads;
    },
    stop: async () => {
      child.disconnect();
      await exited;
    },
  };
}
