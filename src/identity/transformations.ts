import { LanyardError, messageOf } from "../errors.ts";
import type { CelEnvironment, CelInput } from "./cel/cel.ts";
import type { Expression } from "./expression.ts";
import { compileExpression, exactly, ExpressionError, isBlank } from "./expression.ts";

/** `transforms` as a FederationDomain and our authenticators have it (contract/supervisor.md 1.2). */
export interface Transforms {
  readonly constants?: readonly TransformConstant[];
  readonly expressions?: readonly TransformExpression[];
  readonly examples?: readonly TransformExample[];
}

export interface TransformConstant {
  readonly name: string;
  readonly type: "string" | "stringList";
  readonly stringValue?: string;
  readonly stringListValue?: readonly string[];
}

export interface TransformExpression {
  readonly type: "policy/v1" | "username/v1" | "groups/v1";
  readonly expression: string;
  /** Of a policy alone. */
  readonly message?: string;
}

export interface TransformExample {
  readonly username: string;
  readonly groups?: readonly string[];
  readonly expects: {
    readonly username?: string;
    readonly groups?: readonly string[];
    readonly rejected?: boolean;
    readonly message?: string;
  };
}

/** What transformations work on. */
export interface TransformedIdentity {
  readonly username: string;
  readonly groups: readonly string[];
}

/** The identity after all steps, or why a policy refuses it. */
export type TransformationResult =
  | { readonly identity: TransformedIdentity; readonly rejected?: undefined }
  | { readonly rejected: string; readonly identity?: undefined };

/** All expressions of one `transforms`, compiled. */
export interface Transformation {
  /** Runs every expression in order (contract/supervisor.md 3.3); throws `TransformationError`. */
  apply(identity: {
    readonly username: string;
    readonly groups: readonly string[] | null;
  }): TransformationResult;
}

/** A transformation went wrong; `message` never holds the username or a group unless the expression's own error does. */
export class TransformationError extends LanyardError {
  constructor(message: string, cause?: unknown) {
    super({
      code: "identity.transformation",
      message,
      cause,
      publicMessage: "authentication failed",
      httpStatus: 401,
    });
    this.name = "TransformationError";
  }
}

/** An expression that is not valid: its place in the list and the words of contract/supervisor.md 3.2. */
export interface ExpressionProblem {
  readonly index: number;
  readonly message: string;
}

/** The message of a policy that has none of its own. */
export const DEFAULT_POLICY_MESSAGE = "authentication was rejected by a configured policy";

const STRING = { kind: "string" } as const;
const STRING_LIST = { kind: "list", element: STRING } as const;

const environment: CelEnvironment = {
  variables: {
    username: STRING,
    groups: STRING_LIST,
    strConst: { kind: "map", key: STRING, value: STRING },
    strListConst: { kind: "map", key: STRING, value: STRING_LIST },
  },
  homogeneousAggregates: true,
};

const resultTypes: Readonly<Record<TransformExpression["type"], string>> = {
  "policy/v1": "bool",
  "username/v1": "string",
  "groups/v1": "list(string)",
};

interface Step extends TransformExpression {
  readonly program: Expression;
}

/** Compiles all expressions: the transformation, or what is wrong with which of them (contract/supervisor.md 3.2). */
export function compileTransforms(
  transforms: Transforms,
):
  | { readonly transformation: Transformation; readonly problems?: undefined }
  | { readonly problems: readonly ExpressionProblem[]; readonly transformation?: undefined } {
  const steps: Step[] = [];
  const problems: ExpressionProblem[] = [];
  for (const [index, expression] of (transforms.expressions ?? []).entries()) {
    try {
      requireConstantNames(transforms.constants ?? []);
      const expected = exactly(resultTypes[expression.type]);
      steps.push({ ...expression, program: compileExpression(expression.expression, environment, expected) });
    } catch (error) {
      if (!(error instanceof ExpressionError)) {
        throw error;
      }
      problems.push({ index, message: error.message });
    }
  }
  return problems.length > 0
    ? { problems }
    : { transformation: createTransformation(steps, constantBindings(transforms.constants ?? [])) };
}

function requireConstantNames(constants: readonly TransformConstant[]): void {
  const unfit = constants.find(({ name }) => !/^[_a-zA-Z][_a-zA-Z0-9]*$/.test(name));
  if (unfit !== undefined) {
    throw new ExpressionError(
      `"${unfit.name}" is an invalid const variable name (must match [_a-zA-Z][_a-zA-Z0-9]*)`,
    );
  }
}

function constantBindings(constants: readonly TransformConstant[]): Readonly<Record<string, CelInput>> {
  const strings = constants.filter(({ type }) => type === "string");
  const lists = constants.filter(({ type }) => type === "stringList");
  return {
    strConst: Object.fromEntries(strings.map(({ name, stringValue }) => [name, stringValue ?? ""])),
    strListConst: Object.fromEntries(lists.map(({ name, stringListValue }) => [name, stringListValue ?? []])),
  };
}

function createTransformation(
  steps: readonly Step[],
  constants: Readonly<Record<string, CelInput>>,
): Transformation {
  return {
    apply: (start) => {
      let identity: TransformedIdentity = { username: start.username, groups: start.groups ?? [] };
      for (const [index, step] of steps.entries()) {
        const value = evaluate(step, index, { ...constants, ...identity });
        if (step.type === "policy/v1") {
          if (value !== true) {
            return { rejected: step.message || DEFAULT_POLICY_MESSAGE };
          }
        } else {
          identity =
            step.type === "username/v1"
              ? { ...identity, username: value as string }
              : { ...identity, groups: value as readonly string[] };
        }
        requireIdentity(identity);
      }
      return { identity: { ...identity, groups: sortedUnique(identity.groups) } };
    },
  };
}

function evaluate(step: Step, index: number, bindings: Readonly<Record<string, CelInput>>): unknown {
  try {
    return step.program.evaluate(bindings);
  } catch (error) {
    throw new TransformationError(`identity transformation at index ${index}: ${messageOf(error)}`, error);
  }
}

function requireIdentity({ username, groups }: TransformedIdentity): void {
  if (isBlank(username)) {
    throw new TransformationError("identity transformation returned an empty username, which is not allowed");
  }
  if ((groups as readonly string[] | null) === null) {
    throw new TransformationError(
      "identity transformation returned a null list of groups, which is not allowed",
    );
  }
}

/** Each once, in the order of their UTF-8 bytes, as Go sorts strings. */
export function sortedUnique(texts: readonly string[]): readonly string[] {
  return [...new Set(texts)].toSorted(compareAsUtf8);
}

function compareAsUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let index = 0; index < length; index++) {
    const x = a.charCodeAt(index);
    const y = b.charCodeAt(index);
    if (x !== y) {
      return rank(x) - rank(y);
    }
  }
  return a.length - b.length;
}

/** UTF-16 puts characters beyond U+FFFF before U+E000, UTF-8 puts them last. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
