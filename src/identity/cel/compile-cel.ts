import type { Expression } from "./ast.ts";
import { check, type Checked } from "./checker.ts";
import type { CelEnvironment, CelInput, CelProgram, CelType } from "./cel.ts";
import { estimateCost } from "./cost.ts";
import { CelCompileError, CelEvaluationError } from "./errors.ts";
import { compileEvaluator } from "./evaluator.ts";
import { createFrame } from "./frame.ts";
import { parse } from "./parser.ts";
import { referencesOf } from "./references.ts";
import { createSource, type CelSource } from "./source.ts";
import { typeText } from "./types.ts";
import { validate } from "./validators.ts";
import { fromInput, toOutput } from "./values.ts";

const defaultMaximumCharacters = 10_240;
const defaultMaximumCost = 10_000_000;
const defaultDeadlineMilliseconds = 5000;

function refuseProblems(source: CelSource): void {
  const issues = source.issues();
  if (issues.length > 0) throw new CelCompileError(source.display(), issues);
}

/** Parses and checks; what is returned has no problems. */
function analyse(
  source: CelSource,
  environment: CelEnvironment,
): { readonly root: Expression; readonly checked: Checked } {
  try {
    let ids = 0;
    const root = parse(source, () => ids++);
    refuseProblems(source);
    const checked = check(root, environment, source);
    refuseProblems(source);
    validate(root, checked, environment, source);
    refuseProblems(source);
    return { root, checked };
  } catch (error) {
    // The limits on nesting leave much of the stack, unless the caller has used it up.
    if (!(error instanceof RangeError)) throw error;
    const text = "max recursion depth exceeded";
    throw new CelCompileError(`ERROR: <input>:-1:0: ${text}`, [{ line: 0, column: 0, text }]);
  }
}

/**
 * Parses, checks and compiles an expression (contract/supervisor.md 3.1 and 3.2). Throws `CelCompileError`: its message is the joined
 * report as cel-go prints it, `issues` are its parts. Phase `program` means that the report's place is unknown and the
 * message is the bare reason. Expressions that are too long, too deep or whose estimated cost is too high are refused.
 */
export function compileCel(text: string, environment: CelEnvironment): CelProgram {
  const source = createSource(text);
  const maximum = environment.maximumCharacters ?? defaultMaximumCharacters;
  const size = text.length <= maximum ? text.length : Array.from(text).length;
  if (size > maximum) {
    const reason = `expression code point size exceeds limit: size: ${size}, limit ${maximum}`;
    throw new CelCompileError(`ERROR: <input>:-1:0: ${reason}`, [{ line: 0, column: 0, text: reason }]);
  }
  const { root, checked } = analyse(source, environment);
  const estimatedCost = estimateCost(root, checked, environment);
  const maximumCost = environment.maximumCost ?? defaultMaximumCost;
  if (estimatedCost > maximumCost) {
    source.report(-1, `estimated cost of the expression exceeds the limit of ${maximumCost}`);
    refuseProblems(source);
  }
  const names = Object.keys(environment.variables);
  const { evaluate, slots } = compileEvaluator(root, checked, names);
  const references = referencesOf(root, new Set(names));
  const read = names
    .entries()
    .filter(([, name]) => references.some((path) => path === name || path.startsWith(`${name}.`)))
    .toArray();
  const outputType = checked.typeOf(root) as CelType;

  const run = (bindings: Readonly<Record<string, CelInput>>, limit: number, now: () => number): unknown => {
    const frame = createFrame({ slots, deadline: now() + limit, now });
    for (const [slot, name] of read) {
      const input = Object.hasOwn(bindings, name) ? bindings[name] : undefined;
      if (input !== undefined) frame.slots[slot] = fromInput(input);
    }
    return toOutput(evaluate(frame));
  };
  return {
    outputType,
    outputTypeText: typeText(outputType),
    estimatedCost,
    references,
    evaluate(bindings, { deadlineMilliseconds = defaultDeadlineMilliseconds, now = monotonic } = {}) {
      try {
        return run(bindings, deadlineMilliseconds, now);
      } catch (error) {
        if (error instanceof CelEvaluationError) throw error;
        // A stack or a text that grew too large; anything else would be a mistake here, which `cause` shows.
        const text =
          error instanceof RangeError ? "operation cancelled: actual cost limit exceeded" : "internal error";
        throw new CelEvaluationError(text, error);
      }
    },
  };
}

function monotonic(): number {
  return performance.now();
}
