import { readFileSync } from "node:fs";
import type { CelEnvironment, CelInput, CelType } from "../cel.ts";
import { compileCel } from "../compile-cel.ts";
import { CelCompileError, CelEvaluationError } from "../errors.ts";
import { formatDuration, formatTimestamp } from "../functions/time-text.ts";
import { CelDuration, CelOptional, CelTimestamp, CelTypeValue } from "../values.ts";

const text: CelType = { kind: "string" };
const texts: CelType = { kind: "list", element: text };

/** The environment of contract/supervisor.md 3.1 with `claims` of Kubernetes' AuthenticationConfiguration added. */
export const environment: CelEnvironment = {
  variables: {
    username: text,
    groups: texts,
    strConst: { kind: "map", key: text, value: text },
    strListConst: { kind: "map", key: text, value: texts },
    claims: { kind: "map", key: text, value: { kind: "dyn" } },
  },
};

export const bindings: Readonly<Record<string, CelInput>> = {
  username: "alice",
  groups: ["a", "b", "admins"],
  strConst: { x: "1" },
  strListConst: { l: ["p", "q"] },
  claims: {
    email: "a@b.c",
    email_verified: true,
    n: 1,
    f: 1.5,
    roles: ["r1", "r2"],
    m: { k: "v" },
    nul: null,
  },
};

/** One expression and what cel-go 0.31 answered: how it ended, the type and the text of the outcome. */
export interface GoldenRow {
  readonly expression: string;
  readonly homogeneous: boolean;
  readonly outcome: "value" | "error" | "program" | "compile";
  readonly type?: string;
  readonly text: string;
}

/** The recorded table, one JSON object a line. */
export function readGolden(): readonly GoldenRow[] {
  return readFileSync(new URL("golden.jsonl", import.meta.url), "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as GoldenRow);
}

/** A result as the table writes it. */
export function show(value: unknown): string {
  if (value === null || typeof value === "boolean" || typeof value === "bigint") return String(value);
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "number") return `double ${Object.is(value, -0) ? "-0" : value}`;
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString("hex")}`;
  if (value instanceof CelOptional)
    return value.value === undefined ? "none" : `optional ${show(value.value)}`;
  if (value instanceof CelDuration) return `duration ${formatDuration(value)}`;
  if (value instanceof CelTimestamp) return `timestamp ${formatTimestamp(value)}`;
  if (value instanceof CelTypeValue) return `type ${value.name}`;
  if (Array.isArray(value)) return `[${value.map(show).join(", ")}]`;
  if (value instanceof Map)
    return `{${[...value].map(([key, item]) => `${show(key)}: ${show(item)}`).join(", ")}}`;
  throw new TypeError("not a result");
}

/** What this engine answers, in the table's form. */
export function answer(expression: string, homogeneous: boolean): GoldenRow {
  const row = { expression, homogeneous };
  try {
    const program = compileCel(expression, { ...environment, homogeneousAggregates: homogeneous });
    const type = program.outputTypeText;
    try {
      return { ...row, outcome: "value", type, text: show(program.evaluate(bindings)) };
    } catch (error) {
      if (!(error instanceof CelEvaluationError)) throw error;
      return { ...row, outcome: "error", type, text: error.message };
    }
  } catch (error) {
    if (!(error instanceof CelCompileError)) throw error;
    return { ...row, outcome: error.phase, text: error.message };
  }
}
