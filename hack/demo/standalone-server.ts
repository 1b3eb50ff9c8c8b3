import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { findProgram } from "../cluster/go-program.ts";
import { call } from "../../test/integration/harness/http.ts";
import { DemoFailure } from "./failure.ts";

const root = join(import.meta.dirname, "..", "..");

/** The server's entry in the source tree. */
export const SOURCE_ENTRY = join(root, "src", "concierge", "main.ts");
/** The server's entry that `npm run build` writes. */
export const BUILT_ENTRY = join(root, "dist", "concierge", "main.js");

export interface StandaloneServerOptions {
  readonly manifestsFolder: string;
  /** Its `log.level` must be info or more: the address is read from the log. */
  readonly configFile: string;
  /** Relative paths of the configuration start here. */
  readonly workingFolder: string;
  /** Receives what the server says on stderr. */
  readonly logFile: string;
  /** Default: the source. */
  readonly entry?: string;
  /** Gives up waiting for readiness. */
  readonly signal?: AbortSignal;
}

export interface StandaloneServer {
  /** `https://127.0.0.1:PORT`. */
  readonly address: string;
  /** The file with the CA to verify it with. */
  readonly caFile: string;
  readonly caPem: string;
  readonly pid: number;
  /** Resolves with the exit code, null after a signal. */
  readonly exited: Promise<number | null>;
  /** The last lines of its log. */
  lastLines(count?: number): string;
  /** Asks it to stop and waits until it is gone. */
  stop(): Promise<number | null>;
}

interface Running {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  readonly lastLines: (count?: number) => string;
  /** How it ended, once it has. */
  readonly ended: () => { readonly code: number | null } | undefined;
  readonly readLog: () => string;
}

const READY_LIMIT_MILLISECONDS = 30_000;
const STOP_LIMIT_MILLISECONDS = 15_000;
const POLL_MILLISECONDS = 15;

/**
 * Starts `lanyard-concierge` in standalone mode as a process of its own and waits until `/readyz` answers 200. Its environment holds
 * nothing but PATH, for the server refuses variables that change how Node works (S20).
 */
export async function startStandaloneServer(options: StandaloneServerOptions): Promise<StandaloneServer> {
  const running = launch(options);
  try {
    const listening = await poll(running, options.signal, () => findListening(running.readLog()));
    const { address } = listening;
    const caFile = resolve(options.workingFolder, listening.caFile);
    const caPem = await poll(running, options.signal, async () => {
      // Read each time: an earlier run's file may be there until the server writes its own.
      const caPem = readCertificate(caFile);
      if (caPem === undefined) {
        return undefined;
      }
      const answer = await call({ server: address, path: "/readyz", caPem }).catch(() => undefined);
      return answer?.status === 200 ? caPem : undefined;
    });
    return {
      address,
      caFile,
      caPem,
      pid: running.child.pid ?? 0,
      exited: running.exited,
      lastLines: running.lastLines,
      stop: () => stop(running),
    };
  } catch (error) {
    await stop(running);
    throw error;
  }
}

function launch(options: StandaloneServerOptions): Running {
  const log = openSync(options.logFile, "w", 0o600);
  const server = [
    process.execPath,
    "--disable-sigusr1",
    options.entry ?? SOURCE_ENTRY,
    "--standalone",
    options.manifestsFolder,
    "-c",
    options.configFile,
  ];
  const [program = "", ...args] = [...endsWithUs(), ...server];
  const child = spawn(program, args, {
    cwd: options.workingFolder,
    env: { PATH: process.env["PATH"] ?? "" },
    stdio: ["ignore", "ignore", log],
    // A terminal sends Ctrl-C to every process of its group: the server shall get one signal, ours.
    detached: true,
  });
  closeSync(log);
  let end: { readonly code: number | null } | undefined;
  const exited = new Promise<number | null>((resolve) => {
    const over = (code: number | null): void => {
      end ??= { code };
      resolve(end.code);
    };
    child.once("error", () => over(null));
    child.once("exit", over);
  });
  const readLog = (): string => readFileSync(options.logFile, "utf8");
  return {
    child,
    exited,
    readLog,
    ended: () => end,
    lastLines: (count = 10) => readLog().trimEnd().split("\n").slice(-count).join("\n"),
  };
}

/** Lets the kernel end the server when this process is killed. */
function endsWithUs(): readonly string[] {
  const setpriv = findProgram("setpriv");
  return setpriv === undefined ? [] : [setpriv, "--pdeathsig=TERM", "--"];
}

async function poll<T>(
  running: Running,
  signal: AbortSignal | undefined,
  attempt: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const limit = performance.now() + READY_LIMIT_MILLISECONDS;
  for (;;) {
    const answer = await attempt();
    if (answer !== undefined) {
      return answer;
    }
    signal?.throwIfAborted();
    const end = running.ended();
    if (end !== undefined) {
      // Before it can log it refuses in one line, which is the best that can be said.
      const last = running.lastLines(1);
      throw last.startsWith("lanyard-concierge: ")
        ? new DemoFailure(last)
        : new DemoFailure(`the server ended with code ${end.code} before it was ready`, {
            log: running.lastLines(),
          });
    }
    if (performance.now() > limit) {
      throw new DemoFailure("the server was not ready within 30 s", { log: running.lastLines() });
    }
    await delay(POLL_MILLISECONDS);
  }
}

/** The line of the log that tells where it listens; the port may have been chosen by the system. */
function findListening(log: string): { readonly address: string; readonly caFile: string } | undefined {
  const line = log
    .split("\n")
    .slice(0, -1)
    .find((each) => each.includes('"serving a folder of manifests"'));
  if (line === undefined) {
    return undefined;
  }
  const { address, certificateAuthority } = JSON.parse(line) as {
    readonly address: string;
    readonly certificateAuthority: string;
  };
  return { address, caFile: certificateAuthority };
}

function readCertificate(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

async function stop({ child, exited, ended }: Running): Promise<number | null> {
  if (ended() === undefined) {
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MILLISECONDS);
    await exited;
    clearTimeout(timer);
  }
  return exited;
}
