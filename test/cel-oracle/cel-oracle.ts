import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, readdir, rename } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { CelInput, CelType } from "../../src/identity/cel/cel.ts";

const SOURCE = import.meta.dirname;

/** What cel-go is built with for an expression; absent means off. Mirrors `environmentJSON` of environment.go. */
export interface OracleEnvironment {
  readonly variables: Readonly<Record<string, CelType>>;
  readonly homogeneousAggregates?: boolean;
  readonly optionals?: boolean;
  readonly crossTypeNumeric?: boolean;
  /** Version of ext.Strings, below zero the newest. */
  readonly strings?: number;
  readonly kubernetesLists?: boolean;
  readonly kubernetesRegex?: boolean;
  readonly literalValidators?: boolean;
}

export interface OracleQuestion {
  readonly expression: string;
  readonly environment: OracleEnvironment;
  /** Without them the expression is compiled only. */
  readonly bindings?: Readonly<Record<string, CelInput>>;
}

/**
 * A value that shows its type: `{"int":"5"}`, `{"double":"<IEEE bits in hex>"}`, `{"bytes":"<base64>"}`,
 * `{"timestamp":"<seconds>.<nanoseconds>"}`, `{"duration":"<nanoseconds>"}`, `{"map":[[key, value]...]}` in the order of
 * the keys' JSON, `{"optional":null}`, `{"type":"int"}`.
 */
export type EncodedValue = Readonly<Record<string, unknown>>;

export interface OracleAnswer {
  /** cel-go's report, as contract/supervisor.md 3.2 shows it. */
  readonly compileError?: string;
  /** Lines and columns from 1, columns in code points. */
  readonly issues?: readonly { readonly line: number; readonly column: number; readonly message: string }[];
  /** The static type as text: `list(string)`. */
  readonly type?: string;
  /** Of constant folding, after the check. */
  readonly programError?: string;
  readonly evaluationError?: string;
  readonly value?: EncodedValue;
  /** cel-go itself broke. */
  readonly panic?: string;
}

export interface CelOracle {
  /** Answers in the order of the questions. */
  ask(questions: readonly OracleQuestion[]): Promise<readonly OracleAnswer[]>;
  stop(): Promise<void>;
}

/** Builds the Go program once per state of its source, starts it, and talks to that one process. */
export async function startCelOracle(): Promise<CelOracle> {
  const child = spawn(await oracleBinary(), [], { stdio: ["pipe", "pipe", "pipe"] });
  const stderr: Buffer[] = [];
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  const waiting: {
    readonly resolve: (answer: OracleAnswer) => void;
    readonly reject: (error: Error) => void;
  }[] = [];
  createInterface({ input: child.stdout, crlfDelay: Infinity }).on("line", (line) => {
    waiting.shift()?.resolve(JSON.parse(line) as OracleAnswer);
  });
  child.on("close", (code) => {
    for (const { reject } of waiting.splice(0)) {
      reject(new Error(`the CEL oracle ended with code ${code}: ${Buffer.concat(stderr).toString()}`));
    }
  });
  // The reason is in the exit, which rejects whoever waits.
  child.stdin.on("error", () => {});
  return {
    ask: (questions) =>
      Promise.all(
        questions.map(
          (question) =>
            new Promise<OracleAnswer>((resolve, reject) => {
              waiting.push({ resolve, reject });
              child.stdin.write(`${JSON.stringify(question)}\n`);
            }),
        ),
      ),
    stop: () => stop(child),
  };
}

async function stop(child: ChildProcessWithoutNullStreams): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const closed = once(child, "close");
    child.stdin.end();
    await closed;
  }
}

async function oracleBinary(): Promise<string> {
  const files = (await readdir(SOURCE))
    .filter((name) => name.endsWith(".go") || name === "go.mod" || name === "go.sum")
    .toSorted();
  const digest = createHash("sha256");
  for (const name of files) {
    digest
      .update(name)
      .update("\0")
      .update(await readFile(join(SOURCE, name)))
      .update("\0");
  }
  const folder = join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "lanyard");
  const binary = join(folder, `cel-oracle-${digest.digest("hex").slice(0, 16)}`);
  if (existsSync(binary)) {
    return binary;
  }
  await mkdir(folder, { recursive: true });
  // Test files run in parallel processes: each builds its own file, and the last rename wins.
  const own = `${binary}.${process.pid}`;
  const go = spawn("go", ["build", "-trimpath", "-o", own, "."], {
    cwd: SOURCE,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const stderr: Buffer[] = [];
  go.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  const [code] = (await once(go, "close").catch((cause: unknown) => {
    throw new Error("the CEL oracle needs the go command: install golang", { cause });
  })) as [number | null];
  if (code !== 0) {
    throw new Error(`the CEL oracle does not build: ${Buffer.concat(stderr).toString()}`);
  }
  await rename(own, binary);
  return binary;
}
