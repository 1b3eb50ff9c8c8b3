import { messageOf } from "../errors.ts";
import { goQuote } from "../go-text.ts";
import { DEFAULT_POLICY_MESSAGE, sortedUnique } from "./transformations.ts";
import type { Transformation, TransformationResult, TransformExample } from "./transformations.ts";

/** How one example came out differently (contract/supervisor.md 3.5). */
export interface ExampleProblem {
  /** The example's place in the list. */
  readonly index: number;
  readonly expected: string;
  readonly actual: string;
}

/** Runs the examples through the transformation; an example may have two problems, one for the username and one for the groups. */
export function checkExamples(
  transformation: Transformation,
  examples: readonly TransformExample[],
): readonly ExampleProblem[] {
  return examples.flatMap((example, index) =>
    mismatches(transformation, example).map(([expected, actual]) => ({ index, expected, actual })),
  );
}

type Mismatch = readonly [expected: string, actual: string];

function mismatches(transformation: Transformation, example: TransformExample): readonly Mismatch[] {
  const { expects } = example;
  let result: TransformationResult;
  try {
    result = transformation.apply({ username: example.username, groups: example.groups ?? [] });
  } catch (error) {
    const text = `transformations resulted in an unexpected error ${goQuote(messageOf(error))}`;
    return [["no transformation errors", text]];
  }
  if (result.identity === undefined) {
    return rejectionMismatches(result.rejected, expects);
  }
  if (expects.rejected === true) {
    return [["authentication to be rejected", "authentication was not rejected"]];
  }
  const found: Mismatch[] = [];
  const { identity } = result;
  const username = expects.username ?? "";
  if (identity.username !== username) {
    found.push([`username ${goQuote(username)}`, `username ${goQuote(identity.username)}`]);
  }
  const expectedGroups = groupsText(expects.groups ?? []);
  const actualGroups = groupsText(identity.groups);
  if (expectedGroups !== actualGroups) {
    found.push([expectedGroups, actualGroups]);
  }
  return found;
}

function rejectionMismatches(actual: string, expects: TransformExample["expects"]): readonly Mismatch[] {
  if (expects.rejected !== true) {
    return [
      ["authentication not to be rejected", `authentication was rejected with message ${goQuote(actual)}`],
    ];
  }
  const expected = expects.message || DEFAULT_POLICY_MESSAGE;
  return actual === expected
    ? []
    : [
        [
          `authentication rejection message ${goQuote(expected)}`,
          `authentication rejection message ${goQuote(actual)}`,
        ],
      ];
}

function groupsText(groups: readonly string[]): string {
  return `groups [${sortedUnique(groups).map(goQuote).join(", ")}]`;
}
