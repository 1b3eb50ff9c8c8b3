import { LanyardError } from "../../errors.ts";

/** One problem of an expression. `line` and `column` count from 1, in code points; both are 0 when there is no place to show. */
export interface CelIssue {
  readonly line: number;
  readonly column: number;
  /** cel-go's text, without the place. */
  readonly text: string;
}

/**
 * An expression that cannot be used. `phase` is `compile` for what the reports of contract/supervisor.md 3.2 describe and
 * `program` for what shows only while the program is built (an invalid constant pattern, a constant that cannot be converted).
 */
export class CelCompileError extends LanyardError {
  readonly issues: readonly CelIssue[];
  readonly phase: "compile" | "program";

  constructor(message: string, issues: readonly CelIssue[], phase: "compile" | "program" = "compile") {
    super({ code: phase === "compile" ? "cel.compile" : "cel.program", message, httpStatus: 422 });
    this.name = "CelCompileError";
    this.issues = issues;
    this.phase = phase;
  }
}

/** An evaluation that ended without a value; the message is cel-go's text. */
export class CelEvaluationError extends LanyardError {
  constructor(message: string, cause?: unknown) {
    super({ code: "cel.evaluation", message, httpStatus: 422, cause });
    this.name = "CelEvaluationError";
  }
}

/** Shorthand of the evaluator: an error value that `&&`, `||` and the quantifiers may absorb. */
export function failure(message: string): CelEvaluationError {
  return new CelEvaluationError(message);
}

/** The error of a function that has no implementation for the values it was given. */
export function noSuchOverload(): CelEvaluationError {
  return new CelEvaluationError("no such overload");
}
