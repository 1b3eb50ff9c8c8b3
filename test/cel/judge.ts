import { compileCel } from "../../src/identity/cel/compile-cel.ts";
import { CelCompileError, CelEvaluationError } from "../../src/identity/cel/errors.ts";
import type { EncodedValue, OracleAnswer } from "../cel-oracle/cel-oracle.ts";
import { encodeValue, withoutUint } from "./encode-value.ts";
import type { World } from "./environments.ts";

/** What our engine makes of an expression, in the oracle's words. */
export interface EngineAnswer {
  readonly compileError?: string;
  readonly issues?: readonly { readonly line: number; readonly column: number; readonly message: string }[];
  readonly type?: string;
  readonly programError?: string;
  readonly evaluationError?: string;
  readonly value?: EncodedValue;
  /** Not an error that the engine promises. */
  readonly crash?: string;
}

/**
 * `exact`: everything is equal. `position`: both refuse the text, and at the same place, in other words (ANTLR's wording of
 * a syntax error). `refused`: both refuse the text at different places. `bounded`: ours refuses it for a limit that cel-go does not
 * have. `different`: a disagreement.
 */
export type Verdict = "exact" | "position" | "refused" | "bounded" | "different";

/** Compiles and runs an expression in our engine. */
export function askEngine(world: World, expression: string): EngineAnswer {
  let type: string | undefined;
  try {
    const program = compileCel(expression, world.engine);
    type = program.outputTypeText;
    return { type, value: encodeValue(program.evaluate(world.bindings, { deadlineMilliseconds: 2000 })) };
  } catch (error) {
    if (error instanceof CelCompileError) {
      if (error.phase === "program") {
        return { programError: error.message };
      }
      const issues = error.issues.map(({ line, column, text }) => ({ line, column, message: text }));
      return { compileError: error.message, issues };
    }
    if (error instanceof CelEvaluationError && type !== undefined) {
      return { type, evaluationError: error.message };
    }
    return { crash: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}

/** Compares the answers to one expression. */
export function judge(oracle: OracleAnswer, engine: EngineAnswer): Verdict {
  if (oracle.panic !== undefined || engine.crash !== undefined) {
    return "different";
  }
  if (engine.issues?.some(({ message }) => boundOfOurs.test(message)) === true) {
    return "bounded";
  }
  if (oracle.compileError !== undefined || engine.compileError !== undefined) {
    return judgeReports(oracle, engine);
  }
  if (oracle.programError !== undefined || engine.programError !== undefined) {
    return oracle.programError === engine.programError ? "exact" : "different";
  }
  const same =
    oracle.type === engine.type &&
    oracle.evaluationError === engine.evaluationError &&
    JSON.stringify(withoutUint(oracle.value)) === JSON.stringify(engine.value);
  return same ? "exact" : "different";
}

/** The texts of our own limits: source length, nesting, cost. */
const boundOfOurs = /^(expression code point size exceeds limit|estimated cost of the expression exceeds)/;

function judgeReports(oracle: OracleAnswer, engine: EngineAnswer): Verdict {
  if (
    oracle.compileError !== undefined &&
    normalized(oracle.compileError) === normalized(engine.compileError)
  ) {
    return "exact";
  }
  const theirs = oracle.issues?.find(isSyntaxError);
  const ours = engine.issues?.find(isSyntaxError);
  if (theirs === undefined || ours === undefined) {
    return "different";
  }
  return theirs.line === ours.line && theirs.column === ours.column ? "position" : "refused";
}

function isSyntaxError({ message }: { readonly message: string }): boolean {
  return message.startsWith("Syntax error: ");
}

/**
 * The parts of a report, each once: cel-go's `optMap` writes its target down twice and may report it twice. Names of types
 * that are not yet known count the checker's steps, and lose their numbers here.
 */
function normalized(report: string | undefined): string | undefined {
  const parts = report?.replaceAll(/_var\d+/gu, "_var").split("\nERROR: ");
  return parts === undefined ? undefined : [...new Set(parts)].join("\nERROR: ");
}
