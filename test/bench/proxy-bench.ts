import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import type { KeyPair } from "../../src/concierge/state/concierge-state.ts";
import { createCertificateAuthority, issueServingCertificate } from "../../src/pki/certificate-authority.ts";
import { startBenchCluster } from "./proxy-cluster.ts";

export type Protocol = "h1" | "h2";
export type Program = "lanyard" | "bare" | "bytes";

/** Where a client goes. */
export interface ClientAddress {
  readonly host: string;
  readonly port: number;
  readonly caPem: string;
}

/** Where a proxy goes; `token` is the proxy's own. */
export interface Address extends ClientAddress {
  readonly token: string;
}

/** What servers are made of. */
export interface BenchMaterial {
  readonly serving: KeyPair;
  readonly clientCaPem: string;
  /** Who the clients are; a byte pipe has no other way to say it. */
  readonly client: KeyPair;
}

/** Bytes; `resident` is `RssAnon` of proc_pid_status(5). */
export interface Memory {
  readonly resident: number;
  readonly heapUsed: number;
  readonly heapTotal: number;
  readonly external: number;
}

/** What the client is to do, without who it is. */
export interface Work {
  readonly address: ClientAddress;
  readonly protocol: Protocol;
  readonly connections: number;
  readonly count: number;
  readonly path: string;
  /** What the client accepts besides plain bytes; default nothing. */
  readonly encoding?: "gzip";
}

export interface ClientOrder extends Work {
  readonly do: "load" | "watch";
  readonly client: KeyPair;
}

export type Order =
  | { readonly do: "serve-upstream"; readonly material: BenchMaterial; readonly object: string }
  | {
      readonly do: "serve";
      readonly what: Program;
      readonly material: BenchMaterial;
      readonly upstream: Address;
    }
  | ClientOrder
  | { readonly do: "unwatch" }
  | { readonly do: "cpu" }
  | { readonly do: "memory" };

export interface Part {
  ask(order: Order): Promise<never>;
  kill(): void;
}

function startPart(): Part {
  const child: ChildProcess = fork(join(import.meta.dirname, "proxy-parts.ts"), [], {
    execArgv: ["--expose-gc"],
    env: { PATH: process.env["PATH"] },
  });
  let settle: { resolve: (value: never) => void; reject: (error: Error) => void } | undefined;
  child.on("message", (answer: { result?: never; error?: string }) => {
    if (answer.error === undefined) {
      settle?.resolve(answer.result as never);
    } else {
      settle?.reject(new Error(answer.error));
    }
  });
  child.on("exit", (code) => settle?.reject(new Error(`a part of the bench ended with ${code}`)));
  return {
    ask: (order) =>
      new Promise((resolve, reject) => {
        settle = { resolve, reject };
        child.send(order);
      }),
    kill: () => child.kill("SIGKILL"),
  };
}

export interface Bench {
  /** A real kube-apiserver. */
  readonly cluster: Address;
  /** A server of Node's that answers at once. */
  readonly upstream: Address;
  start(
    program: Program,
    upstream: Address,
  ): Promise<{ readonly part: Part; readonly address: ClientAddress }>;
  /** Answers milliseconds of each request. */
  load(work: Work): Promise<readonly number[]>;
  /** Opens watches; resolves once each has had its first event. */
  watch(work: Work): Promise<void>;
  unwatch(): Promise<void>;
  end(): Promise<void>;
}

/** An upstream, a cluster and a client, each in a process of its own; programs come and go between them. */
export async function startBench(): Promise<Bench> {
  const validity = {
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + 36_000_000),
  };
  const authority = await createCertificateAuthority({ commonName: "bench", ...validity });
  const serving = await issueServingCertificate(authority, {
    dnsNames: ["localhost", "kubernetes"],
    ipAddresses: ["127.0.0.1"],
    ...validity,
  });
  const parts: Part[] = [];
  const start = (): Part => {
    const part = startPart();
    parts.push(part);
    return part;
  };
  const here = (port: number): ClientAddress => ({
    host: "127.0.0.1",
    port,
    caPem: authority.certificatePem,
  });
  const cluster = await startBenchCluster(validity);
  const { client } = cluster;
  const end = async (): Promise<void> => {
    parts.forEach((part) => part.kill());
    await cluster.stop();
  };
  try {
    const material: BenchMaterial = { serving, clientCaPem: cluster.address.caPem, client };
    const upstreamPort: number = await start().ask({
      do: "serve-upstream",
      material,
      object: cluster.object,
    });
    const clients = start();
    return {
      cluster: cluster.address,
      upstream: { ...here(upstreamPort), token: "x".repeat(900) },
      start: async (what, upstream) => {
        const part = start();
        return { part, address: here(await part.ask({ do: "serve", what, material, upstream })) };
      },
      load: (work) => clients.ask({ do: "load", client, ...work }),
      watch: (work) => clients.ask({ do: "watch", client, ...work }),
      unwatch: () => clients.ask({ do: "unwatch" }),
      end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
}
