import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** A process named so that its successor in the same pid is never mistaken for it. */
export interface ProcessRecord {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat, in clock ticks since boot. */
  readonly startTime: string;
  /** /proc/sys/kernel/random/boot_id: start times of two boots say nothing about each other. */
  readonly bootId: string;
}

/** The environment variable that marks every process of a cluster; its value is the cluster's folder. */
export const processMark = "LANYARD_CLUSTER_PROCESS";

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** State letter, parent and start time of a process, read as proc_pid_stat(5) describes; undefined when it is gone. */
export function processStat(
  pid: number,
): { readonly state: string; readonly parent: number; readonly startTime: string } | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The command name stands in parentheses and may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, parent] = fields;
  const startTime = fields[19];
  if (state === undefined || parent === undefined || startTime === undefined) return undefined;
  return { state, parent: Number(parent), startTime };
}

function bootId(): string {
  return readText("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
}

/** The record of a live process, or undefined when there is none by that pid. */
export function recordOf(pid: number): ProcessRecord | undefined {
  const stat = processStat(pid);
  return stat && { pid, startTime: stat.startTime, bootId: bootId() };
}

/** Whether exactly this process still runs: a zombie does not, and a reused pid is another process. */
export function isAlive(record: ProcessRecord): boolean {
  const stat = processStat(record.pid);
  return (
    stat !== undefined &&
    stat.state !== "Z" &&
    stat.state !== "X" &&
    stat.startTime === record.startTime &&
    record.bootId === bootId()
  );
}

/** Sends a signal to exactly this process; false when it is gone. */
export function signalProcess(record: ProcessRecord, signal: NodeJS.Signals): boolean {
  if (!isAlive(record)) return false;
  try {
    return process.kill(record.pid, signal);
  } catch {
    return false;
  }
}

/** Waits until none of these runs any more; false when the time is over first. */
export async function waitGone(records: readonly ProcessRecord[], milliseconds: number): Promise<boolean> {
  const end = performance.now() + milliseconds;
  while (records.some(isAlive)) {
    if (performance.now() >= end) return false;
    await delay(20);
  }
  return true;
}

/** SIGTERM, then SIGKILL for whoever is left after `graceMilliseconds`. */
export async function endProcesses(
  records: readonly ProcessRecord[],
  graceMilliseconds: number,
): Promise<void> {
  for (const record of records) signalProcess(record, "SIGTERM");
  if (await waitGone(records, graceMilliseconds)) return;
  for (const record of records) signalProcess(record, "SIGKILL");
  await waitGone(records, 10_000);
}

/** Every process that carries the mark of this folder, found even if it was never recorded. */
export function markedProcesses(folder: string): ProcessRecord[] {
  const mark = `${processMark}=${folder}`;
  const found: ProcessRecord[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    if (!readText(`/proc/${name}/environ`)?.split("\0").includes(mark)) continue;
    const record = recordOf(Number(name));
    if (record && isAlive(record)) found.push(record);
  }
  return found;
}

/** The direct children of a process. */
export function childrenOf(pid: number): ProcessRecord[] {
  return (readText(`/proc/${pid}/task/${pid}/children`) ?? "")
    .split(" ")
    .filter((text) => text !== "")
    .flatMap((text) => recordOf(Number(text)) ?? []);
}

/** A program to run in the background. */
export interface DaemonOptions {
  /** The cluster's folder: holds `logs/NAME.log` and `pids/NAME.json`. */
  readonly folder: string;
  readonly name: string;
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** The command is one that forks and waits (nsenter into another pid namespace): record its child. */
  readonly wrapped?: boolean;
}

/** Starts a program that outlives us, with its output in a log file, and records it. */
export function startDaemon(options: DaemonOptions): ProcessRecord {
  const [program, ...rest] = options.command;
  if (program === undefined) throw new TypeError("startDaemon: empty command");
  mkdirSync(join(options.folder, "logs"), { recursive: true });
  mkdirSync(join(options.folder, "pids"), { recursive: true });
  const log = openSync(join(options.folder, "logs", `${options.name}.log`), "a", 0o600);
  try {
    const child = spawn(program, rest, {
      cwd: options.folder,
      detached: true,
      stdio: ["ignore", log, log],
      env: {
        PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin",
        HOME: options.folder,
        [processMark]: options.folder,
        ...options.environment,
      },
    });
    // A program that cannot be executed shows as a component that is not alive.
    child.on("error", () => {});
    child.unref();
    const started = child.pid === undefined ? undefined : recordOf(child.pid);
    const record = started && options.wrapped === true ? firstChild(started) : started;
    if (!record) throw new Error(`${program} could not be started`);
    writeFileSync(join(options.folder, "pids", `${options.name}.json`), JSON.stringify(record), {
      mode: 0o600,
    });
    return record;
  } finally {
    closeSync(log);
  }
}

function firstChild(parent: ProcessRecord): ProcessRecord | undefined {
  const end = performance.now() + 5_000;
  while (performance.now() < end && isAlive(parent)) {
    const [child] = childrenOf(parent.pid);
    if (child) return child;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
  }
  return undefined;
}

/** The recorded process of a component, or undefined. */
export function recordedProcess(folder: string, name: string): ProcessRecord | undefined {
  const text = readText(join(folder, "pids", `${name}.json`));
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as ProcessRecord;
  } catch {
    // Cut short by a crash; the mark still finds the process.
    return undefined;
  }
}

/** The recorded processes of a cluster, by component. */
export function recordedProcesses(folder: string): Map<string, ProcessRecord> {
  const records = new Map<string, ProcessRecord>();
  let names: string[] = [];
  try {
    names = readdirSync(join(folder, "pids"));
  } catch {
    return records;
  }
  for (const file of names) {
    const name = file.replace(/\.json$/, "");
    const record = recordedProcess(folder, name);
    if (record) records.set(name, record);
  }
  return records;
}

/** Forgets a component that was ended on purpose. */
export function forgetProcess(folder: string, name: string): void {
  rmSync(join(folder, "pids", `${name}.json`), { force: true });
}
