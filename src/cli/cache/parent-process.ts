import { nodeFileSystem } from "./protected-file.ts";

const { readFileSync, readdirSync, readlinkSync } = nodeFileSystem;

/** The process that started this one, as far as the platform tells; its id alone says nothing, as ids are used again. */
export interface ParentProcess {
  readonly processId: number;
  /** When it started, in the platform's own words: with the id it names one process. */
  readonly start: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Whether processes that it started have ended before; undefined: the platform does not tell. */
  readonly hadChildren: boolean | undefined;
  /** Whether it holds a network connection, or another socket. */
  holdsSocket(): boolean;
}

/** Ticks of /proc per second, on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
/** Of the fields behind the name, where field 3 is the first (proc(5)): faults of children, then the time of the start. */
const CHILDREN_MINOR_FAULTS = 11 - 3;
const CHILDREN_MAJOR_FAULTS = 13 - 3;
const START_TIME = 22 - 3;

/** What /proc tells about a process; three small reads. undefined: it is gone, or there is no /proc. */
export function readLinuxProcess(
  processId: number,
  now: number,
  folder = "/proc",
): ParentProcess | undefined {
  let status: string;
  let uptime: string;
  try {
    status = readFileSync(`${folder}/${processId}/stat`, "latin1");
    uptime = readFileSync(`${folder}/uptime`, "latin1");
  } catch {
    return undefined;
  }
  // The name may hold blanks and brackets; the last bracket ends it.
  const fields = status.slice(status.lastIndexOf(")") + 2).split(" ");
  const ticks = Number(fields[START_TIME]);
  const bootedAt = now - Number.parseFloat(uptime) * 1000;
  if (!Number.isFinite(ticks) || Number.isNaN(bootedAt)) {
    return undefined;
  }
  return {
    processId,
    start: String(ticks),
    startedAt: bootedAt + (ticks / TICKS_PER_SECOND) * 1000,
    hadChildren: Number(fields[CHILDREN_MINOR_FAULTS]) + Number(fields[CHILDREN_MAJOR_FAULTS]) > 0,
    holdsSocket: () => holdsSocket(`${folder}/${processId}/fd`),
  };
}

/** Standard streams may be sockets (ssh, services) and tell nothing. */
const STANDARD_STREAMS = 3;

function holdsSocket(folder: string): boolean {
  try {
    return readdirSync(folder).some(
      (name) =>
        Number(name) >= STANDARD_STREAMS && readlinkOrEmpty(`${folder}/${name}`).startsWith("socket:"),
    );
  } catch {
    return false;
  }
}

function readlinkOrEmpty(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

/** What ps(1) tells, where there is no /proc: a start to the second and nothing of children. It takes a process of its own, so it is for misses. */
export async function readProcessByPs(processId: number): Promise<ParentProcess | undefined> {
  const { execFile } = await import("node:child_process");
  const start = await new Promise<string>((resolve) => {
    execFile(
      "/bin/ps",
      ["-o", "lstart=", "-p", String(processId)],
      { env: { LC_ALL: "C", TZ: "UTC" }, timeout: 2_000 },
      (error, output) => resolve(error === null ? output.trim() : ""),
    );
  });
  const startedAt = Date.parse(`${start} UTC`);
  return start === "" || Number.isNaN(startedAt)
    ? undefined
    : { processId, start, startedAt, hadChildren: undefined, holdsSocket: () => false };
}
