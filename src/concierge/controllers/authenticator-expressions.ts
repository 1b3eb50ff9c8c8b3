import type { ConditionFinding } from "../../kube/conditions.ts";
import { compileClaimsMapping, usesClaimExpressions } from "../../identity/compile-claims-mapping.ts";
import type { ClaimsMappingOptions, ClaimsMappingSpec } from "../../identity/compile-claims-mapping.ts";
import type { ClaimsMappingRules } from "../../identity/claims-mapping.ts";
import { checkExamples } from "../../identity/transformation-examples.ts";
import { compileTransforms } from "../../identity/transformations.ts";
import type { Transformation, Transforms } from "../../identity/transformations.ts";
import { failure, success } from "./authenticator-findings.ts";
import type { AuthenticatorKind, AuthenticatorObject } from "./authenticator-reconcile.ts";

/** The condition types that exist only while the spec uses the field (clarification 3). */
export const EXPRESSION_CONDITION_TYPES: readonly string[] = [
  "ClaimExpressionsValid",
  "TransformsExpressionsValid",
  "TransformsExamplesValid",
];

/** What the expressions of a spec come to: conditions, and the compiled parts when they are valid. */
export interface CheckedExpressions {
  readonly findings: readonly ConditionFinding[];
  readonly claims?: ClaimsMappingRules | undefined;
  readonly transformation?: Transformation | undefined;
}

const PATH = ".spec.transforms";
/** Between several texts in one message: an empty line. */
const BETWEEN = "\n\n";

/** Condition `ClaimExpressionsValid`, when anything calls for it. */
export function checkClaims(spec: ClaimsMappingSpec, options: ClaimsMappingOptions): CheckedExpressions {
  const { rules, problems } = compileClaimsMapping(spec, options);
  if (rules !== undefined) {
    const finding = success("ClaimExpressionsValid", "the expressions and rules for claims are valid");
    return { findings: usesClaimExpressions(spec) ? [finding] : [], claims: rules };
  }
  return { findings: [failure("ClaimExpressionsValid", "InvalidClaimExpressions", problems.join(BETWEEN))] };
}

/** Conditions `TransformsExpressionsValid` and `TransformsExamplesValid` (contract/supervisor.md 2.2, 3.2, 3.5). */
export function checkTransforms(transforms: Transforms | undefined): CheckedExpressions {
  if (transforms === undefined) {
    return { findings: [] };
  }
  const { transformation, problems } = compileTransforms(transforms);
  if (transformation === undefined) {
    const texts = problems.map(
      ({ index, message }) => `${PATH}.expressions[${index}].expression was invalid:\n${message}`,
    );
    const unchecked = `unable to check if the examples specified by ${PATH}.examples[] had errors because an expression was invalid`;
    return {
      findings: [
        failure("TransformsExpressionsValid", "InvalidTransformsExpressions", texts.join(BETWEEN)),
        failure("TransformsExamplesValid", "TransformsExamplesFailed", unchecked),
      ],
    };
  }
  const failures = checkExamples(transformation, transforms.examples ?? []).map(
    ({ index, expected, actual }) =>
      `${PATH}.examples[${index}] example failed:\nexpected: ${expected}\nactual:   ${actual}`,
  );
  return {
    findings: [
      success("TransformsExpressionsValid", `the expressions specified by ${PATH}.expressions[] are valid`),
      failures.length === 0
        ? success("TransformsExamplesValid", `the examples specified by ${PATH}.examples[] had no errors`)
        : failure("TransformsExamplesValid", "TransformsExamplesFailed", failures.join(BETWEEN)),
    ],
    transformation,
  };
}

/** Expressions are compiled and examples run when an object changes, not whenever it is looked at. */
export function createExpressionChecks<T extends AuthenticatorObject>(
  kind: Pick<AuthenticatorKind<T>, "settings" | "checkExpressions">,
): { check(object: T): CheckedExpressions; keepOnly(names: ReadonlySet<string>): void } {
  const known = new Map<string, { readonly settings: string; readonly checked: CheckedExpressions }>();
  return {
    check: (object) => {
      const { name } = object.metadata;
      const settings = JSON.stringify(kind.settings(object));
      const before = known.get(name);
      if (before?.settings === settings) {
        return before.checked;
      }
      const own = kind.checkExpressions?.(object) ?? { findings: [] };
      const transforms = checkTransforms(object.spec.transforms);
      const checked = { ...own, ...transforms, findings: [...own.findings, ...transforms.findings] };
      known.set(name, { settings, checked });
      return checked;
    },
    keepOnly: (names) => {
      for (const name of [...known.keys()].filter((key) => !names.has(key))) {
        known.delete(name);
      }
    },
  };
}
