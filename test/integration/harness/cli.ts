import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureKubernetes } from "../../../hack/cluster/binaries.ts";
import { eventually } from "./eventually.ts";

const root = join(import.meta.dirname, "..", "..", "..");
const node = join(root, "node_modules", ".bin", "node");
/** The bundle when it is named, so that the same tests judge it; the source otherwise. */
const program = process.env["LANYARD_TEST_CLI"] ?? join(root, "src", "cli", "main.ts");

/** How a program ended and what it wrote. */
export interface ProgramResult {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Over what the person has. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** What standard input holds; default: nothing. */
  readonly input?: string;
  /** Whether the file descriptor of standard input does not even exist. */
  readonly closedInput?: boolean;
}

export interface PersonOptions {
  /** What libfaketime understands, such as `+6s`: the clock of `lanyard` alone. */
  readonly clock?: string;
  /** Variables of the person's shell. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Somebody with a home folder of their own, `lanyard` and `kubectl` in PATH, and a browser that the test stands for. */
export interface Person {
  readonly home: string;
  /** The `command` for kubeconfigs. */
  readonly lanyard: string;
  readonly environment: Readonly<Record<string, string>>;
  /** `~/.config/pinniped/credentials.yaml` */
  readonly credentials: string;
  /** `~/.config/pinniped/sessions.yaml` */
  readonly sessions: string;
  /** A path in the home folder. */
  path(...names: string[]): string;
  write(name: string, content: string): string;
  run(args: readonly string[], options?: RunOptions): Promise<ProgramResult>;
  /** Another program, with this person's environment. */
  runAs(program: string, args: readonly string[], options?: RunOptions): Promise<ProgramResult>;
  kubectl(kubeconfig: string, args: readonly string[], options?: RunOptions): Promise<ProgramResult>;
  /** Makes a command that runs a program, counted by `runs`; answers its path. */
  command(name: string, program: string, args?: readonly string[]): string;
  /** When `lanyard`, or another counted command, was started so far, by whomever: milliseconds since the epoch, in order. */
  runs(command?: string): readonly number[];
  /** Waits for the next URL that a browser was asked to open. */
  openedUrl(): Promise<URL>;
  /** URLs that were asked for and not taken. */
  unopened(): number;
  /** Forgets caches, not kubeconfigs. */
  forget(): void;
  /** Ends what still runs, and removes the home folder. */
  remove(): void;
}

export async function createPerson(options: PersonOptions = {}): Promise<Person> {
  const home = mkdtempSync(join(tmpdir(), "lanyard-person-"));
  const bin = join(home, "bin");
  const opened = join(home, "opened");
  mkdirSync(bin);
  mkdirSync(opened);
  const script = (name: string, text: string): string => {
    const path = join(bin, name);
    writeFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
    return path;
  };
  const counted = (name: string, path: string, args: readonly string[] = []): string => {
    const shift = Object.entries(clockEnvironment(options.clock)).map(([key, value]) => `${key}='${value}' `);
    const words = [path, ...args].map((word) => `'${word}'`).join(" ");
    const count = `date +%s%3N >>'${join(home, `${name}.runs`)}'`;
    return script(name, `${count}\n${shift.join("")}exec ${words} "$@"`);
  };
  const lanyard = counted("lanyard", node, [program]);
  script("kubectl", `exec '${await ensureKubernetes(() => {})}' kubectl "$@"`);
  // Renamed into place: who waits for it sees whole URLs only.
  script("xdg-open", `printf '%s' "$1" >'${opened}'/.$$ && mv '${opened}'/.$$ '${opened}'/$$`);
  const environment = {
    PATH: `${bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
    HOME: home,
    ...options.environment,
  };
  const configuration = join(home, ".config", "pinniped");
  const waiting = (): string[] => readdirSync(opened).filter((name) => !name.startsWith("."));
  const leaving = new AbortController();
  const run: Person["runAs"] = (path, args, more) =>
    runProgram(path, args, environment, home, leaving.signal, more);
  const person: Person = {
    home,
    lanyard,
    environment,
    credentials: join(configuration, "credentials.yaml"),
    sessions: join(configuration, "sessions.yaml"),
    path: (...names) => join(home, ...names),
    write: (name, content) => {
      writeFileSync(join(home, name), content, { mode: 0o600 });
      return join(home, name);
    },
    run: (args, more) => run(lanyard, args, more),
    runAs: run,
    kubectl: (kubeconfig, args, more) =>
      run(join(bin, "kubectl"), [`--kubeconfig=${kubeconfig}`, ...args], more),
    command: counted,
    runs: (command = "lanyard") => {
      const file = join(home, `${command}.runs`);
      return existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1).map(Number) : [];
    },
    openedUrl: () =>
      eventually(
        "a browser asked for",
        async () => {
          const [name] = waiting();
          if (name === undefined) {
            return undefined;
          }
          const url = new URL(readFileSync(join(opened, name), "utf8"));
          rmSync(join(opened, name));
          return url;
        },
        { seconds: 30, intervalMilliseconds: 20 },
      ),
    unopened: () => waiting().length,
    forget: () => rmSync(configuration, { recursive: true, force: true }),
    remove: () => {
      leaving.abort();
      rmSync(home, { recursive: true, force: true });
    },
  };
  return person;
}

function runProgram(
  path: string,
  args: readonly string[],
  base: Readonly<Record<string, string>>,
  folder: string,
  signal: AbortSignal,
  options: RunOptions = {},
): Promise<ProgramResult> {
  const [command, commandArgs] =
    options.closedInput === true ? ["/bin/sh", ["-c", 'exec "$0" "$@" <&-', path, ...args]] : [path, args];
  const child = spawn(command, commandArgs, {
    cwd: folder,
    env: { ...base, ...options.environment },
    stdio: ["pipe", "pipe", "pipe"],
    // A group of its own: kubectl's plugin ends with it.
    detached: true,
  });
  const end = (): void => {
    if (child.pid !== undefined && child.exitCode === null) {
      process.kill(-child.pid, "SIGKILL");
    }
  };
  signal.addEventListener("abort", end, { once: true });
  child.once("close", () => signal.removeEventListener("abort", end));
  child.stdin.on("error", () => {});
  child.stdin.end(options.input ?? "");
  return resultOf(child);
}

/** What a child with piped output comes to. */
export function resultOf(child: ChildProcess): Promise<ProgramResult> {
  const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  child.stdout?.on("data", (chunk: Buffer) => chunks.stdout.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => chunks.stderr.push(chunk));
  const text = (parts: Buffer[]): string => Buffer.concat(parts).toString("utf8");
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) =>
      resolve({ code, stdout: text(chunks.stdout), stderr: text(chunks.stderr) }),
    );
  });
}

/** Variables that shift what a program of the C library, such as Node, takes for the time; `+5s` is five seconds ahead. */
export function clockEnvironment(shift: string | undefined): Readonly<Record<string, string>> {
  if (shift === undefined) {
    return {};
  }
  const library = ["x86_64-linux-gnu", "aarch64-linux-gnu"]
    .map((folder) => join("/usr/lib", folder, "faketime", "libfaketime.so.1"))
    .find(existsSync);
  if (library === undefined) {
    throw new Error("libfaketime is missing: install the Debian package libfaketime");
  }
  return { FAKETIME: shift, FAKETIME_DONT_FAKE_MONOTONIC: "1", LD_PRELOAD: library };
}

/** An ExecCredential on stdout: one line of JSON and nothing else (contract cli.md 3). */
export interface ExecCredential {
  readonly kind: string;
  readonly apiVersion: string;
  readonly status: {
    readonly expirationTimestamp?: string;
    readonly token?: string;
    readonly clientCertificateData?: string;
    readonly clientKeyData?: string;
  };
}

/** Reads it; anything but success is an error that tells what the program said. */
export function execCredential({ code, stdout, stderr }: ProgramResult): ExecCredential {
  if (code !== 0 || !/^\{.*\}\n$/.test(stdout)) {
    throw new Error(`no ExecCredential (exit ${code}): ${JSON.stringify(stdout)} ${stderr}`);
  }
  return JSON.parse(stdout) as ExecCredential;
}
