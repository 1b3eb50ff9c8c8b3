import { nodeFileSystem } from "./protected-file.ts";

const { readFileSync } = nodeFileSystem;

/** The process that started this one, as far as the platform tells; its id alone says nothing, as ids are used again. */
export interface ParentProcess {
  readonly processId: number;
  /** When it started, in the platform's own words: with the id it names one process. */
  readonly start: string;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** Whether what it started and what has ended is as large as this program is; undefined: the platform does not tell. */
  readonly ranPlugin: boolean | undefined;
}

/** Ticks of /proc per second, on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;
/** Of the fields behind the name, where field 3 is the first (proc(5)): page faults, those of children, then the time of the start. */
const MINOR_FAULTS = 10 - 3;
const CHILDREN_MINOR_FAULTS = 11 - 3;
const CHILDREN_MAJOR_FAULTS = 13 - 3;
const START_TIME = 22 - 3;

/** What /proc tells about a process; most hits need one small read, the others follow when they are asked for. undefined: it is gone, or there is no /proc. */
export function readLinuxProcess(
  processId: number,
  now: number,
  folder = "/proc",
): ParentProcess | undefined {
  const fields = readStatus(`${folder}/${processId}/stat`);
  const ticks = Number(fields?.[START_TIME]);
  if (fields === undefined || !Number.isFinite(ticks)) {
    return undefined;
  }
  const faultsOfChildren = Number(fields[CHILDREN_MINOR_FAULTS]) + Number(fields[CHILDREN_MAJOR_FAULTS]);
  return {
    processId,
    start: String(ticks),
    get startedAt() {
      return bootTime(now, folder) + (ticks / TICKS_PER_SECOND) * 1000;
    },
    // Half, as no two runs are alike; what a shell starts beside is far smaller than a JavaScript engine.
    ranPlugin: faultsOfChildren > 0 && faultsOfChildren > ownFaults(folder) / 2,
  };
}

/** Milliseconds since the epoch; long ago where it is not told. */
function bootTime(now: number, folder: string): number {
  try {
    const uptime = Number.parseFloat(readFileSync(`${folder}/uptime`, "latin1"));
    return Number.isNaN(uptime) ? 0 : now - uptime * 1000;
  } catch {
    return 0;
  }
}

/** Page faults of this process; more than any where they are not told. */
function ownFaults(folder: string): number {
  const faults = Number(readStatus(`${folder}/self/stat`)?.[MINOR_FAULTS]);
  return Number.isNaN(faults) ? Number.POSITIVE_INFINITY : faults;
}

/** The fields behind the name; undefined: it cannot be read. */
function readStatus(file: string): readonly string[] | undefined {
  try {
    return statusFields(readFileSync(file, "latin1"));
  } catch {
    return undefined;
  }
}

/** The name may hold blanks and brackets; the last bracket ends it. */
function statusFields(status: string): readonly string[] {
  return status.slice(status.lastIndexOf(")") + 2).split(" ");
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
    : { processId, start, startedAt, ranPlugin: undefined };
}
