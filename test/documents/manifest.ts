import { Ajv } from "ajv";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { checkClaims, checkTransforms } from "../../src/concierge/controllers/authenticator-expressions.ts";
import { parseDenyList } from "../../src/concierge/request/deny-list.ts";
import type { ClaimsMappingSpec } from "../../src/identity/compile-claims-mapping.ts";
import { identityFromClaims } from "../../src/identity/claims-mapping.ts";
import { reservedIdentityRule } from "../../src/identity/reserved-identities.ts";
import type { Transforms } from "../../src/identity/transformations.ts";
import type { KubernetesObject } from "../../src/kube/objects.ts";
import { validateManifest } from "../../src/resources/validate-manifest.ts";

const root = join(import.meta.dirname, "..", "..");
const claimsOptions = { reservedDomains: ["pinniped.dev"] };

/** The objects of one or several YAML documents; throws for what is not YAML. */
export function yamlDocuments(text: string): unknown[] {
  return parseAllDocuments(text).map((document) => {
    const [error] = document.errors;
    if (error !== undefined) {
      throw error;
    }
    return document.toJS() as unknown;
  });
}

/** Whether it is a whole object of one of our kinds. */
export function isOurs(value: unknown): value is KubernetesObject {
  return (
    typeof value === "object" &&
    value !== null &&
    /\.pinniped\.dev\//.test(String((value as { readonly apiVersion?: unknown }).apiVersion))
  );
}

interface AuthenticatorSpec extends ClaimsMappingSpec {
  readonly transforms?: Transforms;
  readonly reservedIdentities?: {
    readonly allowedUsernames?: readonly string[];
    readonly allowedGroups?: readonly string[];
  };
}

/** Everything that is wrong with a manifest: its schema, its expressions, its examples, its deny list. */
export function manifestProblems(value: unknown): readonly string[] {
  if (!isOurs(value)) {
    return denyListProblems(value);
  }
  const { errors, warnings, object } = validateManifest(value);
  const spec = (object as KubernetesObject & { readonly spec?: AuthenticatorSpec }).spec ?? {};
  const findings = [
    ...(object.kind === "JWTAuthenticator" ? checkClaims(spec, claimsOptions).findings : []),
    ...(object.kind.endsWith("Authenticator") ? checkTransforms(spec.transforms).findings : []),
  ];
  const failed = findings.filter(({ status }) => status !== "True").map(({ message }) => message);
  return [...errors, ...warnings, ...failed];
}

function denyListProblems(value: unknown): readonly string[] {
  const { kind, metadata, data } = (value ?? {}) as {
    readonly kind?: string;
    readonly metadata?: { readonly name?: string };
    readonly data?: Readonly<Record<string, string>>;
  };
  if (kind !== "ConfigMap" || metadata?.name?.endsWith("-deny-list") !== true) {
    return [];
  }
  return parseDenyList(data?.["entries"] ?? "").problems;
}

/** Whether the chart would take these values. */
export function chartValueProblems(values: unknown): readonly string[] {
  const schema = JSON.parse(
    readFileSync(join(root, "charts", "lanyard-concierge", "values.schema.json"), "utf8"),
  ) as object;
  const validate = new Ajv({ strict: false, allErrors: true }).compile(schema);
  validate(values);
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath}: ${message}`);
}

/** Who these claims are for this JWTAuthenticator, to the last step before signing; throws when they are refused. */
export function userOf(
  authenticator: KubernetesObject,
  claims: Readonly<Record<string, unknown>>,
): { readonly username: string; readonly groups: readonly string[]; readonly extra?: object } {
  const spec = (authenticator as KubernetesObject & { readonly spec: AuthenticatorSpec }).spec;
  const { claims: rules } = checkClaims(spec, claimsOptions);
  if (rules === undefined) {
    throw new Error("the expressions are not valid");
  }
  const identity = identityFromClaims(claims, rules);
  const result = checkTransforms(spec.transforms).transformation?.apply(identity);
  if (result?.rejected !== undefined) {
    throw new Error(result.rejected);
  }
  const { rule, identity: user } = reservedIdentityRule(
    { ...identity, ...result?.identity },
    spec.reservedIdentities ?? {},
  );
  if (user === undefined) {
    throw new Error(`reserved identity: ${rule}`);
  }
  // Every token with a jti has this one, and no certificate carries it.
  const { "authentication.kubernetes.io/credential-id": _, ...extra } = user.extra ?? {};
  return {
    username: user.username,
    groups: user.groups,
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  };
}
