import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CacheHit, prepareCacheHits } from "./cli-cache.ts";
import { createChildrenCpuClock } from "./cli-children-cpu.ts";

const PAIRS = 60;
const LIMIT = 1.25;
const root = join(import.meta.dirname, "..", "..");
const folder = join(root, "dist-cli");

/** The cache judges who asks (contract cli.md 13.3 rule 7): each call comes from a client of its own, as with kubectl. */
const CLIENT = ["/bin/sh", "-c", '"$@"; exit $?', "client"] as const;
const EMPTY_CLIENT = ["/bin/sh", "-c", ":; exit $?"] as const;
const childrenCpu = createChildrenCpuClock();

interface Cost {
  readonly wall: number;
  readonly cpu: number;
}

/** A login on a cache hit beside `node -e 0`, by turns; the bundle is built first. */
export async function benchCli(): Promise<void> {
  const built = spawnSync(process.execPath, ["hack/build-cli.ts", "--sea"], { cwd: root, stdio: "inherit" });
  if (built.status !== 0) {
    throw new Error("npm run build:cli failed");
  }
  const work = mkdtempSync(join(tmpdir(), "lanyard-bench-"));
  try {
    const hits = await prepareCacheHits(work);
    console.log(`limit: ${LIMIT} × node -e 0, wall and processor; medians of ${PAIRS} pairs\n`);
    const script = join(folder, "lanyard.js");
    const ratios = hits.map((hit) => compare(hit.name, [process.execPath, script, ...hit.args], hit));
    const executable = join(folder, "lanyard");
    for (const hit of hits) {
      compare(`${hit.name}, single executable (no limit)`, [executable, ...hit.args], hit);
    }
    if (ratios.some((ratio) => ratio > LIMIT)) {
      throw new Error(`a cache hit costs more than ${LIMIT} × node -e 0`);
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Prints both sides; answers the greater of the two ratios. */
function compare(name: string, command: readonly string[], hit: CacheHit): number {
  const floors: Cost[] = [];
  const costs: Cost[] = [];
  for (let pair = -1; pair < PAIRS; pair++) {
    // By turns also within the pair: the second of two may find warmer caches.
    const both = [
      () => measure([...CLIENT, process.execPath, "-e", "0"], hit, ""),
      () => measure([...CLIENT, ...command], hit, hit.expected),
    ] as const;
    const [floor, cost] =
      pair % 2 === 0 ? [both[0](), both[1]()] : ([both[1](), both[0]()].toReversed() as [Cost, Cost]);
    if (pair >= 0) {
      floors.push(floor);
      costs.push(cost);
    }
  }
  const client = Array.from({ length: PAIRS }, () => measure(EMPTY_CLIENT, hit, ""));
  const ratio = (of: (cost: Cost) => number): number => {
    const own = median(client.map(of));
    return (median(costs.map(of)) - own) / (median(floors.map(of)) - own);
  };
  const wall = ratio((cost) => cost.wall);
  const cpu = ratio((cost) => cost.cpu);
  const verdict = Math.max(wall, cpu) <= LIMIT ? "holds" : "MISSED";
  console.log(
    `${name}\n` +
      `  wall       node -e 0 ${show(floors, "wall")}, lanyard ${show(costs, "wall")}: ${wall.toFixed(2)} ×\n` +
      `  processor  node -e 0 ${show(floors, "cpu")}, lanyard ${show(costs, "cpu")}: ${cpu.toFixed(2)} ×   ${verdict}`,
  );
  return Math.max(wall, cpu);
}

function measure([program = "", ...args]: readonly string[], hit: CacheHit, expected: string): Cost {
  const cpu = childrenCpu();
  const startedAt = performance.now();
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: "utf8", env: hit.environment });
  const wall = performance.now() - startedAt;
  if (status !== 0 || stderr !== "" || !stdout.includes(expected)) {
    throw new Error(`${program} ${args.slice(0, 3).join(" ")} … ended with ${status}: ${stderr.trim()}`);
  }
  return { wall, cpu: childrenCpu() - cpu };
}

function show(costs: readonly Cost[], what: keyof Cost): string {
  return `${median(costs.map((cost) => cost[what])).toFixed(1)} ms`;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
}
