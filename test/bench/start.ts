import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { stringify } from "yaml";
import { startCluster } from "../../hack/cluster/cluster.ts";
import { BUILT_ENTRY, SOURCE_ENTRY } from "../../hack/demo/standalone-server.ts";
import { installConcierge, waitUntilServing } from "../integration/harness/concierge.ts";

const RUNS = 5;
const IDLE_SECONDS = 30;
const LIMITS = { readySeconds: 2, residentMegabytes: 100 };
const root = join(import.meta.dirname, "..", "..");

interface Start {
  readonly milliseconds: number;
  /** What the process and its threads had used by then. */
  readonly cpuMilliseconds: number;
  /** Right after readiness. */
  readonly resident: Resident;
  /** After `IDLE_SECONDS` more; only of the last run. */
  readonly residentIdle: Resident | undefined;
}

/** Bytes of proc_pid_status(5): `VmRSS`, and of it `RssFile`, mapped from files such as Node's own and shared between processes. */
interface Resident {
  readonly all: number;
  readonly file: number;
}

/** How a process is started; the arguments behind the entry. */
interface Launch {
  readonly arguments: readonly string[];
  readonly port: number;
  readonly workingFolder: string;
}

/** Start to ready and resident memory, from source and as built, with a warm cluster and without one. */
export async function benchStart(): Promise<void> {
  const built = spawnSync(process.execPath, ["hack/build.ts"], { cwd: root, stdio: "inherit" });
  if (built.status !== 0) {
    throw new Error("npm run build failed");
  }
  console.log(
    `limits: ready within ${LIMITS.readySeconds} s, idle at ${LIMITS.residentMegabytes} MB or less`,
  );
  await benchEmptyNode();
  await benchStandalone();
  await benchCluster();
}

async function benchStandalone(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "lanyard-bench-"));
  try {
    const port = 20_000 + (process.pid % 20_000);
    mkdirSync(join(folder, "manifests"), { mode: 0o700 });
    const configFile = join(folder, "concierge.yaml");
    const standalone = { stateFolder: join(folder, "state"), listenAddress: `127.0.0.1:${port}` };
    writeFileSync(configFile, stringify({ standalone }));
    await benchEntries("standalone", {
      arguments: ["--standalone", join(folder, "manifests"), "-c", configFile],
      port,
      workingFolder: folder,
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Warm: an earlier run of the same installation has made the Secrets and written the CA into the APIServices. */
async function benchCluster(): Promise<void> {
  const cluster = await startCluster({ name: `bench-${process.pid}` });
  try {
    const installation = await installConcierge(cluster);
    try {
      await waitUntilServing(installation);
      const [replica] = installation.replicas;
      if (replica === undefined) {
        throw new TypeError("there is no replica");
      }
      await replica.end();
      const { spawnargs } = replica.process;
      await benchEntries("in a cluster", {
        arguments: spawnargs.slice(spawnargs.indexOf(SOURCE_ENTRY) + 1),
        port: replica.port,
        workingFolder: cluster.folder,
      });
    } finally {
      await installation.close();
    }
  } finally {
    await cluster.stop();
  }
}

async function benchEntries(title: string, launch: Launch): Promise<void> {
  for (const [name, entry] of [
    ["from source", SOURCE_ENTRY],
    ["built", BUILT_ENTRY],
  ] as const) {
    const starts: Start[] = [];
    for (let run = 0; run <= RUNS; run++) {
      const start = await measure(entry, launch, run === RUNS);
      // The first one warms the file cache, and in standalone mode makes the state.
      starts.push(...(run === 0 ? [] : [start]));
    }
    report(`${title}, ${name}`, starts);
  }
}

async function measure(entry: string, launch: Launch, waitIdle: boolean): Promise<Start> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, ["--disable-sigusr1", entry, ...launch.arguments], {
    cwd: launch.workingFolder,
    env: { PATH: process.env["PATH"] ?? "" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let log = "";
  child.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()));
  const exited = once(child, "exit");
  try {
    while (!(await isReady(launch.port))) {
      if (child.exitCode !== null || performance.now() - startedAt > 60_000) {
        throw new Error(`the server did not get ready: ${log.trim().split("\n").at(-1)}`);
      }
      await delay(10);
    }
    const milliseconds = performance.now() - startedAt;
    const cpuMilliseconds = processorMilliseconds(child);
    const resident = residentBytes(child);
    if (waitIdle) {
      await delay(IDLE_SECONDS * 1000);
    }
    return {
      milliseconds,
      cpuMilliseconds,
      resident,
      residentIdle: waitIdle ? residentBytes(child) : undefined,
    };
  } finally {
    child.kill("SIGTERM");
    await exited;
  }
}

function residentBytes({ pid }: Pick<ChildProcess, "pid">): Resident {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const bytes = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024;
  return { all: bytes("VmRSS"), file: bytes("RssFile") };
}

/** Fields 14 and 15 of proc_pid_stat(5), in ticks of 10 ms. */
function processorMilliseconds({ pid }: ChildProcess): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** The floor: a Node that does nothing. */
async function benchEmptyNode(): Promise<void> {
  const child = spawn(process.execPath, ["-e", 'console.log("up"); setInterval(() => {}, 1e6)'], {
    env: { PATH: process.env["PATH"] ?? "" },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const exited = once(child, "exit");
  await once(child.stdout, "data");
  const { all, file } = residentBytes(child);
  console.log(
    `floor: an empty Node has ${megabytes(all)} resident, ${megabytes(file)} of it mapped from files\n`,
  );
  child.kill("SIGKILL");
  await exited;
}

/** A probe as the kubelet's, which verifies no certificate. */
function isReady(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = request(
      { host: "127.0.0.1", port, path: "/readyz", rejectUnauthorized: false, agent: false, timeout: 5_000 },
      (response) => {
        response.resume();
        response.once("end", () => resolve(response.statusCode === 200));
        response.once("error", () => resolve(false));
      },
    );
    probe.once("timeout", () => probe.destroy());
    probe.once("error", () => resolve(false));
    probe.end();
  });
}

function report(title: string, starts: readonly Start[]): void {
  const ready = starts.map(({ milliseconds }) => milliseconds);
  const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`;
  const verdict = (holds: boolean): string => (holds ? "holds" : "MISSED");
  const idle = starts.at(-1)?.residentIdle ?? { all: Number.NaN, file: Number.NaN };
  const cpu = median(starts.map(({ cpuMilliseconds }) => cpuMilliseconds));
  const atReady = median(starts.map(({ resident }) => resident.all));
  console.log(`${title} (${starts.length} runs)`);
  console.log(
    `  start to ready   min ${seconds(Math.min(...ready))}, median ${seconds(median(ready))}, processor ${seconds(cpu)}` +
      `   limit ${LIMITS.readySeconds} s: ${verdict(median(ready) <= LIMITS.readySeconds * 1000)}`,
  );
  console.log(
    `  resident memory  ready ${megabytes(atReady)}, idle for ${IDLE_SECONDS} s ${megabytes(idle.all)}, of it mapped from files ${megabytes(idle.file)}` +
      `   limit ${LIMITS.residentMegabytes} MB: ${verdict(idle.all <= LIMITS.residentMegabytes * 1e6)}`,
  );
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
}
