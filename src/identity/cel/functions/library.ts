import type { Implementation } from "../frame.ts";
import { conversions } from "./conversions.ts";
import { formatting } from "./format.ts";
import { lists, optionals } from "./lists.ts";
import { operators } from "./operators.ts";
import { strings } from "./strings.ts";
import { time } from "./time.ts";

/** What every function does, except those that need to see their arguments unevaluated or that take a pattern. */
export const library: ReadonlyMap<string, Implementation> = new Map(
  [conversions, formatting, lists, operators, optionals, strings, time].flatMap((functions) =>
    Object.entries(functions),
  ),
);
