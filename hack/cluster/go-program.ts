import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";

import { clusterError } from "./errors.ts";
import { lock } from "./machine-lock.ts";

/** A Go program of this repository that is built once and kept in the user's cache folder. */
export interface GoProgram {
  readonly name: string;
  readonly title: string;
  /** The folder of its Go module. */
  readonly folder: string;
  readonly package: string;
  /** The module file in its folder when it is not `go.mod`; Go keeps the sums of `NAME.mod` in `NAME.sum`. */
  readonly modfile?: string;
  /** What its cache key is made of, in its folder; default all of its Go files, `go.mod` and `go.sum`. */
  readonly sources?: readonly string[];
  readonly ldflags: string;
  /** How long it takes. */
  readonly hint?: string;
}

/** What the builds tell while they run; one line at a time. */
export type Progress = (line: string) => void;

export const toStderr: Progress = (line) => void process.stderr.write(`${line}\n`);

/** Static programs of a few lines; a build takes a second. */
export function smallProgram(name: string, folder: string): GoProgram {
  return { name, title: name, folder, package: ".", sources: ["go.mod", "main.go"], ldflags: "-s -w" };
}

/** The path of a program in PATH or in the folders that only root's PATH has; undefined when there is none. */
export function findProgram(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Where built programs are kept: `lanyard` in the user's cache folder, so that every checkout shares them. */
export function cacheFolder(): string {
  const cache = process.env["XDG_CACHE_HOME"];
  return join(cache !== undefined && cache !== "" ? cache : join(homedir(), ".cache"), "lanyard");
}

function cacheKey(program: GoProgram): string {
  const hash = createHash("sha256").update(program.ldflags);
  const sources =
    program.sources ??
    readdirSync(program.folder)
      .filter((name) => name.endsWith(".go") || name === "go.mod" || name === "go.sum")
      .toSorted();
  for (const source of sources) hash.update(readFileSync(join(program.folder, source)));
  return hash.digest("hex").slice(0, 16);
}

/** The path of the program; built when it is not in the cache yet. */
export async function ensureGoProgram(program: GoProgram, progress: Progress = toStderr): Promise<string> {
  const key = cacheKey(program);
  const folder = join(cacheFolder(), `${program.name}-${key}`);
  const path = join(folder, program.name);
  if (isExecutable(path)) return path;
  const held = await lock(`build-${createHash("sha256").update(folder).digest("hex").slice(0, 24)}`, () =>
    progress(`${program.title}: another process builds it, waiting`),
  );
  try {
    if (isExecutable(path)) return path;
    const go = findProgram("go");
    if (go === undefined) {
      throw clusterError(
        "tool.missing",
        `go is missing, it builds ${program.title}: install the Debian package golang-go (1.24 or newer)`,
      );
    }
    mkdirSync(folder, { recursive: true });
    // What a killed builder left; the lock says that no other is at work.
    for (const name of readdirSync(folder)) rmSync(join(folder, name), { recursive: true, force: true });
    const temporary = join(folder, `.${program.name}.${process.pid}.building`);
    await build(go, program, temporary, progress);
    renameSync(temporary, path);
    return path;
  } finally {
    await held.release();
  }
}

async function build(go: string, program: GoProgram, output: string, progress: Progress): Promise<void> {
  const started = performance.now();
  const seconds = (): string => {
    const total = Math.round((performance.now() - started) / 1000);
    return total < 60 ? `${total} s` : `${Math.floor(total / 60)} min ${total % 60} s`;
  };
  let phase = "resolving modules";
  let compiled = 0;
  let downloaded = 0;
  let total = 0;
  const report = (): void => {
    const modules = downloaded > 0 ? `, ${downloaded} modules downloaded` : "";
    // Packages that Go's own cache holds are not compiled again, so the count may stay below the total.
    const packages = total > 0 ? `, ${compiled} of at most ${total} packages compiled` : "";
    progress(`${program.title}: ${phase}${modules}${packages}, ${seconds()}`);
  };
  progress(`${program.title}: building, once for this user${program.hint ?? ""}`);
  const timer = setInterval(report, 10_000);
  const modfile = program.modfile === undefined ? [] : [`-modfile=${program.modfile}`];
  try {
    const onLine = (line: string): void => {
      if (line.startsWith("go: downloading")) downloaded++;
      else if (!line.startsWith("go: ")) compiled++;
    };
    const listed = await runGo(go, program.folder, ["list", ...modfile, "-deps", program.package], onLine);
    total = listed.split("\n").length - 1;
    compiled = 0;
    phase = "compiling";
    await runGo(
      go,
      program.folder,
      ["build", ...modfile, "-v", "-trimpath", "-ldflags", program.ldflags, "-o", output, program.package],
      onLine,
    );
    progress(`${program.title}: built in ${seconds()}`);
  } catch (error) {
    rmSync(output, { force: true });
    throw error;
  } finally {
    clearInterval(timer);
  }
}

/** Lets the kernel end a build when its builder is killed. */
function endsWithUs(): string[] {
  const setpriv = findProgram("setpriv");
  return setpriv === undefined ? [] : [setpriv, "--pdeathsig=KILL", "--"];
}

function runGo(
  go: string,
  folder: string,
  args: readonly string[],
  onLine: (line: string) => void,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const [command = go, ...rest] = [...endsWithUs(), go, ...args];
    const child = spawn(command, rest, {
      cwd: folder,
      env: { ...process.env, CGO_ENABLED: "0" },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let stdout = "";
    let last = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    createInterface({ input: child.stderr }).on("line", (line) => {
      last = line;
      onLine(line);
    });
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(stdout);
      else reject(clusterError("build", `go ${args[0]} failed in ${folder}: ${last}`));
    });
  });
}
