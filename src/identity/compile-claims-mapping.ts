import type { CelEnvironment } from "./cel/cel.ts";
import type { ClaimRule, ClaimsMappingRules, ExpressionRule } from "./claims-mapping.ts";
import type { ExpectedResult, Expression } from "./expression.ts";
import { compileExpression, exactly, ExpressionError, reads } from "./expression.ts";

/** The parts of a JWTAuthenticator's spec that say how claims are read (design.md section 5). */
export interface ClaimsMappingSpec {
  readonly claims?: {
    readonly username?: string;
    readonly groups?: string;
    readonly usernameExpression?: string;
    readonly groupsExpression?: string;
    readonly extra?: readonly { readonly key: string; readonly valueExpression: string }[];
  };
  readonly claimValidationRules?: readonly {
    readonly claim?: string;
    readonly requiredValue?: string;
    readonly expression?: string;
    readonly message?: string;
  }[];
  readonly userValidationRules?: readonly { readonly expression: string; readonly message?: string }[];
}

export interface ClaimsMappingOptions {
  /** Domains whose extra keys are refused with all below them, besides those of Kubernetes: our own API group suffix (S3). */
  readonly reservedDomains: readonly string[];
}

/** The compiled rules, or everything that is wrong, each with the path of its field. */
export type CompiledClaimsMapping =
  | { readonly rules: ClaimsMappingRules; readonly problems?: undefined }
  | { readonly problems: readonly string[]; readonly rules?: undefined };

const STRING = { kind: "string" } as const;
const STRING_LIST = { kind: "list", element: STRING } as const;

const claimsEnvironment: CelEnvironment = {
  variables: { claims: { kind: "map", key: STRING, value: { kind: "dyn" } } },
};
const userEnvironment: CelEnvironment = {
  variables: {
    user: {
      kind: "object",
      name: "kubernetes.UserInfo",
      fields: {
        username: STRING,
        uid: STRING,
        groups: STRING_LIST,
        extra: { kind: "map", key: STRING, value: STRING_LIST },
      },
    },
  },
};

const bool = exactly("bool");
/** What a claim holds is known at login only: `dyn` will do here, and is checked then. */
const text: ExpectedResult = {
  name: "string",
  accepts: (_type, name) => name === "string" || name === "dyn",
};
const texts: ExpectedResult = {
  name: "string or list(string)",
  accepts: (_type, name) => ["string", "list(string)", "list(dyn)", "dyn", "null_type"].includes(name),
};

const kubernetesDomains: readonly string[] = ["kubernetes.io", "k8s.io"];

/** Whether a spec uses anything that `ClaimExpressionsValid` speaks about (clarification 3). */
export function usesClaimExpressions(spec: ClaimsMappingSpec): boolean {
  const { claims } = spec;
  return (
    claims?.usernameExpression !== undefined ||
    claims?.groupsExpression !== undefined ||
    claims?.extra !== undefined ||
    spec.claimValidationRules !== undefined ||
    spec.userValidationRules !== undefined
  );
}

/** Checks and compiles everything that says how claims are read; the rules of the schema are checked once more. */
export function compileClaimsMapping(
  spec: ClaimsMappingSpec,
  options: ClaimsMappingOptions,
): CompiledClaimsMapping {
  const problems: string[] = [];
  const claims = spec.claims ?? {};
  const compile = (
    path: string,
    source: string,
    environment: CelEnvironment,
    expected: ExpectedResult,
  ): Expression | undefined => {
    try {
      return compileExpression(source, environment, expected);
    } catch (error) {
      if (!(error instanceof ExpressionError)) {
        throw error;
      }
      problems.push(`${path} was invalid:\n${error.message}`);
      return undefined;
    }
  };
  const claimOrExpression = (
    what: "username" | "groups",
    expected: ExpectedResult,
  ): string | Expression | undefined => {
    const name = claims[what] ?? "";
    const source = claims[`${what}Expression`];
    if (source === undefined) {
      return name === "" ? what : name;
    }
    if (name !== "") {
      problems.push(`.spec.claims: ${what} and ${what}Expression cannot both be set`);
    }
    return compile(`.spec.claims.${what}Expression`, source, claimsEnvironment, expected);
  };

  const username = claimOrExpression("username", text);
  const groups = claimOrExpression("groups", texts);
  const extraSpecs = claims.extra ?? [];
  const extra = extraSpecs.map(({ key, valueExpression }, index) => {
    const path = `.spec.claims.extra[${index}]`;
    const isDuplicate = extraSpecs.findIndex((other) => other.key === key) !== index;
    const fault = isDuplicate ? "is given twice" : extraKeyFault(key, options.reservedDomains);
    if (fault !== undefined) {
      problems.push(`${path}.key ${fault}`);
    }
    const value = compile(`${path}.valueExpression`, valueExpression, claimsEnvironment, texts);
    return value === undefined ? undefined : { key, value };
  });
  const claimRules = (spec.claimValidationRules ?? []).map((rule, index): ClaimRule | undefined => {
    const path = `.spec.claimValidationRules[${index}]`;
    if ((rule.claim === undefined) === (rule.expression === undefined)) {
      problems.push(`${path}: exactly one of claim and expression must be set`);
      return undefined;
    }
    if (rule.expression === undefined) {
      return { claim: rule.claim ?? "", requiredValue: rule.requiredValue ?? "" };
    }
    const expression = compile(`${path}.expression`, rule.expression, claimsEnvironment, bool);
    return expression && { expression, source: rule.expression, message: rule.message ?? "" };
  });
  const userRules = (spec.userValidationRules ?? []).map((rule, index): ExpressionRule | undefined => {
    const path = `.spec.userValidationRules[${index}].expression`;
    const expression = compile(path, rule.expression, userEnvironment, bool);
    return expression && { expression, source: rule.expression, message: rule.message ?? "" };
  });

  if (problems.length > 0 || username === undefined || groups === undefined) {
    return { problems };
  }
  const rules: ClaimsMappingRules = {
    username,
    groups,
    extra: extra.filter((mapping) => mapping !== undefined),
    claimRules: claimRules.filter((rule) => rule !== undefined),
    userRules: userRules.filter((rule) => rule !== undefined),
  };
  return usesUnverifiedEmail(rules)
    ? {
        problems: [
          ".spec.claims.usernameExpression was invalid:\nclaims.email_verified must be used in usernameExpression, in a valueExpression of extra or in an expression of claimValidationRules when usernameExpression uses claims.email",
        ],
      }
    : { rules };
}

/** S3: whoever can choose an e-mail address could choose a name. */
function usesUnverifiedEmail({ username, extra, claimRules }: ClaimsMappingRules): boolean {
  if (typeof username === "string") {
    return false;
  }
  // With a key that is only known at login any claim may be meant.
  const { program } = username;
  if (!reads(program, "claims.email") && !program.references.includes("claims")) {
    return false;
  }
  const expressions = [
    username,
    ...extra.map(({ value }) => value),
    ...claimRules.flatMap(({ expression }) => expression ?? []),
  ];
  return !expressions.some((expression) => reads(expression.program, "claims.email_verified"));
}

/** S3, as `k8s.io/apimachinery/pkg/util/validation.IsDomainPrefixedPath` with the rules of AuthenticationConfiguration. */
function extraKeyFault(key: string, reservedDomains: readonly string[]): string | undefined {
  if (key !== key.toLowerCase()) {
    return "must be lower-case";
  }
  const label = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?";
  const parts = new RegExp(
    `^(?<domain>${label}(?:\\.${label})*)/(?<path>[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+)$`,
  ).exec(key)?.groups;
  const domain = parts?.["domain"];
  if (domain === undefined || domain.length > 253) {
    return "must be a path with a domain in front, such as example.com/team";
  }
  const reserved = [...kubernetesDomains, ...reservedDomains].find(
    (name) => domain === name || domain.endsWith(`.${name}`),
  );
  return reserved === undefined ? undefined : `must not use the domain ${reserved} or one below it`;
}
