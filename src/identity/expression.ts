import type { CelEnvironment, CelInput, CelProgram, CelType } from "./cel/cel.ts";
import { compileCel } from "./cel/compile-cel.ts";
import { CelCompileError } from "./cel/errors.ts";

/** No evaluation of one expression takes longer (contract/supervisor.md 3.1). */
const DEADLINE_MILLISECONDS = 5_000;

/** An expression that cannot be used; `message` has the words of contract/supervisor.md 3.2. */
export class ExpressionError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "ExpressionError";
  }
}

/** An expression that has been checked; runs it and answers plain data. */
export interface Expression {
  readonly program: CelProgram;
  evaluate(bindings: Readonly<Record<string, CelInput>>): unknown;
}

/** What an expression may give: the name of a type as cel-go prints it, and whether a static type will do. */
export interface ExpectedResult {
  readonly name: string;
  accepts(type: CelType, text: string): boolean;
}

/** Exactly this type, as cel-go prints it; `dyn` is not accepted. */
export function exactly(name: string): ExpectedResult {
  return { name, accepts: (_type, text) => text === name };
}

/** Compiles and checks an expression; throws `ExpressionError`. */
export function compileExpression(
  source: string,
  environment: CelEnvironment,
  expected: ExpectedResult,
): Expression {
  if (isBlank(source)) {
    throw new ExpressionError("cannot compile empty CEL expression");
  }
  let program: CelProgram;
  try {
    program = compileCel(source, environment);
  } catch (error) {
    if (!(error instanceof CelCompileError)) {
      throw error;
    }
    const what = error.phase === "program" ? "program construction" : "compile";
    throw new ExpressionError(`CEL expression ${what} error: ${error.message}`, error);
  }
  const { outputType, outputTypeText } = program;
  if (!expected.accepts(outputType, outputTypeText)) {
    throw new ExpressionError(
      `CEL expression should return type "${expected.name}" but returns type "${outputTypeText}"`,
    );
  }
  const variables = Object.keys(environment.variables).filter((name) => reads(program, name));
  return {
    program,
    evaluate: (bindings) =>
      program.evaluate(
        // What is not read need not be converted.
        Object.fromEntries(variables.map((name) => [name, bindings[name] ?? null])),
        { deadlineMilliseconds: DEADLINE_MILLISECONDS },
      ),
  };
}

/** Whether a program reads a variable, or what is below a path such as `claims.email`. */
export function reads({ references }: CelProgram, path: string): boolean {
  return references.some((reference) => reference === path || reference.startsWith(`${path}.`));
}

/** Nothing but white space, as Go's `strings.TrimSpace` sees it. */
export function isBlank(text: string): boolean {
  return /^\p{White_Space}*$/u.test(text);
}
