// What a proxied request costs: CPU of the proxy's process alone, beside a Node HTTP pipe and a TLS byte pipe in the same run,
// and how long it takes, beside the same request straight at the kube-apiserver.
import { median, startBench } from "./proxy-bench.ts";
import type { Bench, ClientAddress, Part, Program, Protocol, Work } from "./proxy-bench.ts";
import { BIG_LIST, OPAQUE_LIST, SMALL_OBJECT } from "./proxy-cluster.ts";

/** Clarification 47, design.md section 9. The byte pipe's are goals. */
const LIMITS = { bare: 1.35, bytes: { h1: 2.8, h2: 3.8 }, direct: 1.9, throughput: 0.95 };
const PROGRAMS: readonly Program[] = ["lanyard", "bare", "bytes"];
const PROTOCOLS: readonly Protocol[] = ["h1", "h2"];
const CONNECTIONS = 16;
const CPU = { rounds: 9, requests: 1_000 };
const LATENCY = { rounds: 9, requests: 250 };
const THROUGHPUT = { rounds: 11, requests: 8 };
const LIST_MEGABYTES = 1.2;

type Servers = Readonly<Record<Program, { readonly part: Part; readonly address: ClientAddress }>>;

export async function benchProxy(): Promise<void> {
  const bench = await startBench();
  const missed: string[] = [];
  const judge = (what: string, limit: string, holds: boolean): string => {
    if (!holds) {
      missed.push(what);
    }
    return `limit ${limit}: ${holds ? "holds" : "MISSED"}`;
  };
  try {
    const servers: Servers = {
      lanyard: await bench.start("lanyard", bench.upstream),
      bare: await bench.start("bare", bench.upstream),
      bytes: await bench.start("bytes", bench.upstream),
    };
    console.log(
      `GET of a small object, ${CONNECTIONS} connections, CPU of the proxy alone (all steps, audit lines and metrics on)`,
    );
    for (const protocol of PROTOCOLS) {
      const cpu = await cpuPerRequest(bench, servers, protocol);
      const toBare = ratioOf(cpu.lanyard, cpu.bare);
      const toBytes = ratioOf(cpu.lanyard, cpu.bytes);
      const goal = LIMITS.bytes[protocol];
      console.log(
        `  ${protocol}  lanyard ${median(cpu.lanyard).toFixed(3)} ms, bare HTTP pipe ${median(cpu.bare).toFixed(3)} ms, byte pipe ${median(cpu.bytes).toFixed(3)} ms`,
      );
      console.log(
        `      ${toBare.toFixed(2)} x bare, ${judge(`CPU ${protocol}`, String(LIMITS.bare), toBare <= LIMITS.bare)}` +
          `; ${toBytes.toFixed(2)} x bytes, goal ${goal}: ${toBytes <= goal ? "reached" : "not reached"}`,
      );
    }
    Object.values(servers).forEach(({ part }) => part.kill());

    const { address } = await bench.start("lanyard", bench.cluster);
    console.log("one connection, a kube-apiserver behind it");
    for (const protocol of PROTOCOLS) {
      const small = await besideDirect(bench, address, { protocol, path: SMALL_OBJECT, ...LATENCY });
      const ratio = ratioOf(small.lanyard, small.direct);
      console.log(
        `  ${protocol}  GET of a small object, p50 ${median(small.lanyard).toFixed(2)} ms, direct ${median(small.direct).toFixed(2)} ms` +
          `   ${ratio.toFixed(2)} x, ${judge(`p50 ${protocol}`, String(LIMITS.direct), ratio <= LIMITS.direct)}`,
      );
    }
    // What TLS in Node alone leaves of it: no step, no header, no parser.
    const floor = await bench.start("bytes", bench.cluster);
    for (const protocol of PROTOCOLS) {
      const work = { path: BIG_LIST, protocol, ...THROUGHPUT };
      const list = await besideDirect(bench, address, work, floor.address);
      const share = 1 / ratioOf(list.lanyard, list.direct);
      const rate = (milliseconds: readonly number[]): string =>
        ((1_000 * LIST_MEGABYTES) / median(milliseconds)).toFixed(0);
      console.log(
        `  ${protocol}  LIST of ${LIST_MEGABYTES} MB, ${rate(list.lanyard)} MB/s, direct ${rate(list.direct)} MB/s` +
          `   ${percent(share)}, ${judge(`LIST ${protocol}`, percent(LIMITS.throughput), share >= LIMITS.throughput)}` +
          `; byte pipe ${percent(1 / ratioOf(list.floor, list.direct))}`,
      );
      const others = {
        "a client that accepts gzip": { ...work, encoding: "gzip" },
        "60 objects of 20 KB": { ...work, path: OPAQUE_LIST },
      } as const;
      for (const [what, other] of Object.entries(others)) {
        const shares = await besideDirect(bench, address, other, floor.address);
        console.log(
          `      not judged: ${what} ${percent(1 / ratioOf(shares.lanyard, shares.direct))},` +
            ` byte pipe ${percent(1 / ratioOf(shares.floor, shares.direct))}`,
        );
      }
    }
  } finally {
    await bench.end();
  }
  if (missed.length > 0) {
    throw new Error(`beyond the limit: ${missed.join(", ")}`);
  }
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}

/** Of each round for itself, and then the median: what disturbs one round disturbs both sides of it. */
function ratioOf(mine: readonly number[], theirs: readonly number[]): number {
  return median(mine.map((value, round) => value / (theirs[round] ?? Number.NaN)));
}

/** Milliseconds per request, by round. */
async function cpuPerRequest(
  bench: Bench,
  servers: Servers,
  protocol: Protocol,
): Promise<Record<Program, readonly number[]>> {
  const figures: Record<Program, number[]> = { lanyard: [], bare: [], bytes: [] };
  // Interleaved, so that whatever else the machine does hits all of them; the first round warms up.
  for (let round = 0; round <= CPU.rounds; round += 1) {
    for (const program of PROGRAMS) {
      const { part, address } = servers[program];
      const before: number = await part.ask({ do: "cpu" });
      await bench.load({
        address,
        protocol,
        connections: CONNECTIONS,
        count: CPU.requests,
        path: SMALL_OBJECT,
      });
      const after: number = await part.ask({ do: "cpu" });
      if (round > 0) {
        figures[program].push((after - before) / CPU.requests);
      }
    }
  }
  return figures;
}

/** Milliseconds of the median request, by round. */
async function besideDirect(
  bench: Bench,
  lanyard: ClientAddress,
  work: Pick<Work, "protocol" | "path" | "encoding"> & { readonly rounds: number; readonly requests: number },
  floor?: ClientAddress,
): Promise<Record<"lanyard" | "direct" | "floor", readonly number[]>> {
  const p50 = async (address: ClientAddress): Promise<number> =>
    median(await bench.load({ ...work, address, connections: 1, count: work.requests }));
  const figures = { lanyard: [] as number[], direct: [] as number[], floor: [] as number[] };
  for (let round = 0; round <= work.rounds; round += 1) {
    const direct = await p50(bench.cluster);
    const through = await p50(lanyard);
    const least = floor === undefined ? Number.NaN : await p50(floor);
    if (round > 0) {
      figures.direct.push(direct);
      figures.lanyard.push(through);
      figures.floor.push(least);
    }
  }
  return figures;
}
