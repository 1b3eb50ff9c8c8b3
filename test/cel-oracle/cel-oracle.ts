import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { ensureGoProgram } from "../../hack/cluster/go-program.ts";
import type { GoProgram } from "../../hack/cluster/go-program.ts";
import type { CelInput, CelType } from "../../src/identity/cel/cel.ts";

const program: GoProgram = {
  name: "cel-oracle",
  title: "the CEL oracle",
  folder: import.meta.dirname,
  package: ".",
  ldflags: "-s -w",
};

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
  const child = spawn(await ensureGoProgram(program), [], { stdio: ["pipe", "pipe", "pipe"] });
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
