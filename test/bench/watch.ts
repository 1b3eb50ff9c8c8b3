// What an open watch costs in memory: the growth of the proxy's resident set, beside a Node HTTP pipe in the same run.
import { startBench } from "./proxy-bench.ts";
import type { Bench, Memory, Program, Protocol, Work } from "./proxy-bench.ts";
import { SMALL_OBJECT, WATCH_SMALL } from "./proxy-cluster.ts";

/** design.md section 9, kilobytes. */
const LIMITS = { h1: 80, h2: 30 };
const WARM_UP_WATCHES = 500;
const WARM_UP_REQUESTS = 5_000;
const WATCHES = 1_000;

export async function benchWatch(): Promise<void> {
  const bench = await startBench();
  const missed: string[] = [];
  try {
    console.log(`memory per open watch in KB, ${WATCHES} watches at a kube-apiserver`);
    for (const protocol of ["h1", "h2"] as const) {
      const bare = await perWatch(bench, "bare", protocol);
      const lanyard = await perWatch(bench, "lanyard", protocol);
      // What a process keeps from its warm-up may take in some of the growth, and what lives on the heap cannot be less.
      const holds = Math.max(lanyard.resident, lanyard.heapUsed) <= LIMITS[protocol];
      if (!holds) {
        missed.push(protocol);
      }
      console.log(
        `  ${protocol}  lanyard        ${text(lanyard)}   limit ${LIMITS[protocol]}: ${holds ? "holds" : "MISSED"}`,
      );
      console.log(`  ${protocol}  bare HTTP pipe ${text(bare)}`);
    }
  } finally {
    await bench.end();
  }
  if (missed.length > 0) {
    throw new Error(`above the limit: ${missed.join(", ")}`);
  }
}

/** Kilobytes. The first requests and watches make what every process has once: heap to work in, caches, connections. */
async function perWatch(bench: Bench, program: Program, protocol: Protocol): Promise<Memory> {
  const { part, address } = await bench.start(program, bench.cluster);
  const work: Work = { address, protocol, connections: 16, count: WARM_UP_REQUESTS, path: SMALL_OBJECT };
  await bench.load(work);
  await bench.watch({ ...work, count: WARM_UP_WATCHES, path: WATCH_SMALL });
  const before: Memory = await part.ask({ do: "memory" });
  await bench.watch({ ...work, count: WATCHES, path: WATCH_SMALL });
  const after: Memory = await part.ask({ do: "memory" });
  await bench.unwatch();
  part.kill();
  const grown = (name: keyof Memory): number => (after[name] - before[name]) / WATCHES / 1_000;
  return {
    resident: grown("resident"),
    heapUsed: grown("heapUsed"),
    heapTotal: grown("heapTotal"),
    external: grown("external"),
  };
}

function text({ resident, heapUsed, heapTotal, external }: Memory): string {
  const figures = { resident, "of it heap": heapUsed, "heap with room": heapTotal, external };
  return Object.entries(figures)
    .map(([name, kilobytes]) => `${name} ${kilobytes.toFixed(0)}`)
    .join(", ");
}
