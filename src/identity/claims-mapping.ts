import { LanyardError, messageOf } from "../errors.ts";
import { goQuote } from "../go-text.ts";
import type { CelInput } from "./cel/cel.ts";
import type { Expression } from "./expression.ts";
import type { Identity } from "./identity.ts";
import { CREDENTIAL_ID_EXTRA } from "./unsupported-user-info.ts";

/** The claims of a verified token, as `JSON.parse` makes them. */
export type TokenClaims = Readonly<Record<string, unknown>>;

/**
 * A verified token whose claims do not make a user; `message` starts with `oidc: ` and holds no claim values but what an
 * expression's own error names.
 */
export class ClaimsRefusal extends LanyardError {
  constructor(message: string, cause?: unknown) {
    super({
      code: "claims.refused",
      message: `oidc: ${message}`,
      cause,
      publicMessage: "authentication failed",
      httpStatus: 401,
    });
    this.name = "ClaimsRefusal";
  }
}

/** How claims become a user, compiled; made by `compileClaimsMapping` or from the names of claims alone. */
export interface ClaimsMappingRules {
  /** The name of a claim, or an expression. */
  readonly username: string | Expression;
  readonly groups: string | Expression;
  readonly extra: readonly { readonly key: string; readonly value: Expression }[];
  readonly claimRules: readonly ClaimRule[];
  readonly userRules: readonly ExpressionRule[];
}

/** A claim with one value, or an expression that must be true. */
export type ClaimRule =
  | { readonly claim: string; readonly requiredValue: string; readonly expression?: undefined }
  | ExpressionRule;

export interface ExpressionRule {
  readonly expression: Expression;
  /** The source text, named when there is no message. */
  readonly source: string;
  readonly message: string;
}

/** The mapping of contract 4.5 without any expression. */
export function namedClaims(usernameClaim: string, groupsClaim: string): ClaimsMappingRules {
  return { username: usernameClaim, groups: groupsClaim, extra: [], claimRules: [], userRules: [] };
}

/** One claim; nothing when the token itself does not have it. */
export function claimOf(claims: TokenClaims, name: string): unknown {
  return Object.hasOwn(claims, name) ? claims[name] : undefined;
}

/**
 * Who a verified token speaks of (contract 4.5), with the semantics of Kubernetes' AuthenticationConfiguration for expressions and
 * rules; throws `ClaimsRefusal`.
 */
export function identityFromClaims(claims: TokenClaims, rules: ClaimsMappingRules): Identity {
  const bindings = { claims: claims as Readonly<Record<string, CelInput>> };
  const username = usernameOf(claims, rules, bindings);
  const groups = groupsOf(claims, rules, bindings);
  const extra = Object.fromEntries([
    ...rules.extra.flatMap(({ key, value }): readonly (readonly [string, readonly string[]])[] => {
      const what = `the extra value expression of ${goQuote(key)}`;
      const values = textsFrom(evaluate(value, bindings, what), what);
      return values.length === 0 ? [] : [[key, values]];
    }),
    ...credentialId(claimOf(claims, "jti")),
  ]);
  for (const rule of rules.claimRules) {
    requireClaimRule(claims, rule, bindings);
  }
  const identity: Identity = { username, groups, extra };
  const user = { user: { username, groups: [...groups], uid: "", extra } };
  for (const rule of rules.userRules) {
    requireTrue(rule, user, "user validation rule");
  }
  return identity;
}

type Bindings = Readonly<Record<string, CelInput>>;

function usernameOf(claims: TokenClaims, { username: rule }: ClaimsMappingRules, bindings: Bindings): string {
  if (typeof rule !== "string") {
    const value = evaluate(rule, bindings, "the username expression");
    if (typeof value !== "string") {
      throw new ClaimsRefusal("the username expression did not return a string");
    }
    if (value === "") {
      throw new ClaimsRefusal("the username expression returned an empty username");
    }
    return value;
  }
  const username = claimOf(claims, rule);
  if (typeof username !== "string") {
    throw new ClaimsRefusal(
      `username claim ${JSON.stringify(rule)} is ${username === undefined ? "missing" : "not a string"}`,
    );
  }
  const emailVerified = claimOf(claims, "email_verified");
  if (rule === "email" && emailVerified !== undefined && emailVerified !== true) {
    throw new ClaimsRefusal("email not verified: the claim email_verified is not true");
  }
  return username;
}

function groupsOf(
  claims: TokenClaims,
  { groups: rule }: ClaimsMappingRules,
  bindings: Bindings,
): readonly string[] {
  if (typeof rule !== "string") {
    return textsFrom(evaluate(rule, bindings, "the groups expression"), "the groups expression");
  }
  const value = claimOf(claims, rule);
  if (value === undefined) {
    return [];
  }
  const groups: readonly unknown[] =
    typeof value === "string" ? [value] : Array.isArray(value) ? value : [undefined];
  if (!groups.every((group) => typeof group === "string")) {
    throw new ClaimsRefusal(`groups claim ${JSON.stringify(rule)} is neither a string nor a list of strings`);
  }
  return groups;
}

/** A string or a list of strings; null and empty strings stand for nothing, as in Kubernetes. */
function textsFrom(value: unknown, what: string): readonly string[] {
  const values: readonly unknown[] = value === null ? [] : Array.isArray(value) ? value : [value];
  if (!values.every((text) => typeof text === "string")) {
    throw new ClaimsRefusal(`${what} did not return a string or a list of strings`);
  }
  return values.filter((text) => text !== "");
}

function credentialId(jti: unknown): readonly (readonly [string, readonly string[]])[] {
  return typeof jti === "string" && jti !== "" ? [[CREDENTIAL_ID_EXTRA, [`JTI=${jti}`]]] : [];
}

function requireClaimRule(claims: TokenClaims, rule: ClaimRule, bindings: Bindings): void {
  if (rule.expression !== undefined) {
    requireTrue(rule, bindings, "claim validation rule");
    return;
  }
  const value = claimOf(claims, rule.claim);
  if (value !== rule.requiredValue) {
    const fault = value === undefined ? "is missing" : "does not have the required value";
    throw new ClaimsRefusal(`the claim ${goQuote(rule.claim)} ${fault}`);
  }
}

function requireTrue(rule: ExpressionRule, bindings: Bindings, what: string): void {
  if (evaluate(rule.expression, bindings, `the ${what}`) !== true) {
    throw new ClaimsRefusal(
      rule.message === "" ? `${what} is not true: ${rule.source}` : `${what}: ${rule.message}`,
    );
  }
}

function evaluate(expression: Expression, bindings: Bindings, what: string): unknown {
  try {
    return expression.evaluate(bindings);
  } catch (error) {
    throw new ClaimsRefusal(`error evaluating ${what}: ${messageOf(error)}`, error);
  }
}
