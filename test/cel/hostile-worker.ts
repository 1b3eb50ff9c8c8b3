import { parentPort } from "node:worker_threads";
import { compileCel } from "../../src/identity/cel/compile-cel.ts";
import { CelCompileError, CelEvaluationError } from "../../src/identity/cel/errors.ts";
import { claims, transformations } from "./environments.ts";
import { hostileCases, type HostileCase } from "./hostile.ts";

/** How one attack ended; `crash` is anything that the engine does not promise. */
export interface HostileResult {
  readonly name: string;
  readonly outcome: "refused" | "error" | "value" | "crash";
  readonly detail: string;
  readonly milliseconds: number;
}

/** The deadline that is given to each evaluation. */
export const DEADLINE_MILLISECONDS = 250;

function attack(hostile: HostileCase): Omit<HostileResult, "name" | "milliseconds"> {
  const variables = { ...transformations.engine.variables, ...claims.engine.variables };
  const bindings = { ...transformations.bindings, ...claims.bindings, ...hostile.bindings };
  try {
    const program = compileCel(hostile.expression, { ...transformations.engine, variables });
    const value = program.evaluate(bindings, { deadlineMilliseconds: DEADLINE_MILLISECONDS });
    return { outcome: "value", detail: typeof value };
  } catch (error) {
    const detail = error instanceof Error ? error.message.slice(0, 300) : String(error);
    if (error instanceof CelCompileError) {
      return { outcome: "refused", detail };
    }
    return { outcome: error instanceof CelEvaluationError ? "error" : "crash", detail };
  }
}

for (const hostile of hostileCases) {
  const started = performance.now();
  const result = attack(hostile);
  parentPort?.postMessage({ name: hostile.name, ...result, milliseconds: performance.now() - started });
}
