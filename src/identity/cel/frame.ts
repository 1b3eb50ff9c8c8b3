import { CelEvaluationError } from "./errors.ts";
import type { Value } from "./values.ts";

/** The state of one evaluation. */
export interface Frame {
  /** Variables of the environment and of comprehensions, by the slot they were given when the expression was compiled. */
  readonly slots: (Value | undefined)[];
  /** One turn of a loop; every hundredth looks at the clock. Throws `operation interrupted` past the deadline. */
  tick(): void;
  /**
   * Accounts for work or memory that grows with the data: characters and elements produced, steps of a regular expression.
   * Throws `operation cancelled: actual cost limit exceeded` when there was too much in total.
   */
  spend(amount: number): void;
}

/** Characters and elements that one evaluation may produce. */
const budget = 16_777_216;
const ticksPerCheck = 100;

export interface FrameOptions {
  readonly slots: number;
  /** Milliseconds of `now` after which the evaluation ends. */
  readonly deadline: number;
  readonly now: () => number;
}

export function createFrame({ slots, deadline, now }: FrameOptions): Frame {
  let ticks = 0;
  let spent = 0;
  let checkpoint = budget / 16;
  const check = (): void => {
    if (now() > deadline) throw new CelEvaluationError("operation interrupted");
  };
  return {
    slots: new Array<Value | undefined>(slots).fill(undefined),
    tick() {
      if (++ticks % ticksPerCheck === 0) check();
    },
    spend(amount) {
      spent += amount;
      if (spent > budget) throw new CelEvaluationError("operation cancelled: actual cost limit exceeded");
      if (spent > checkpoint) {
        checkpoint = spent + budget / 16;
        check();
      }
    },
  };
}

/** What a function does with its values; those that the call does not have are undefined. */
export type Implementation = (frame: Frame, a: Value, b: Value, c: Value, d: Value) => Value;
