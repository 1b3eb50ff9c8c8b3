import type { CelEnvironment, CelInput, CelType } from "../../src/identity/cel/cel.ts";
import type { OracleEnvironment } from "../cel-oracle/cel-oracle.ts";

/** A place where expressions run: what our engine is given, what cel-go is given, and the values of the variables. */
export interface World {
  readonly name: "transformations" | "claims" | "user";
  readonly engine: CelEnvironment;
  readonly oracle: OracleEnvironment;
  readonly bindings: Readonly<Record<string, CelInput>>;
}

const string: CelType = { kind: "string" };
const strings: CelType = { kind: "list", element: string };
const mapOf = (value: CelType): CelType => ({ kind: "map", key: string, value });

/** The libraries of clarifications.md 24, the same in every world. */
const libraries = {
  homogeneousAggregates: true,
  optionals: true,
  kubernetesLists: true,
  kubernetesRegex: true,
  crossTypeNumeric: true,
  // `reverse`, `strings.quote` and `format` are in the contract's list.
  strings: -1,
} as const;

function world(
  name: World["name"],
  variables: Readonly<Record<string, CelType>>,
  bindings: World["bindings"],
): World {
  return {
    name,
    engine: { variables, homogeneousAggregates: true },
    oracle: { ...libraries, variables },
    bindings,
  };
}

/** contract/supervisor.md 3.1. */
export const transformations = world(
  "transformations",
  { username: string, groups: strings, strConst: mapOf(string), strListConst: mapOf(strings) },
  {
    username: "Ryan@Example.com",
    groups: ["admins", "developers", "system:masters", "Ops Team"],
    strConst: { prefix: "corp:", domain: "@example.com", emoji: "é中😀" },
    strListConst: { allowed: ["admins", "viewers"], denied: ["Ops Team"], empty: [] },
  },
);

/** Kubernetes' AuthenticationConfiguration: claims of a token. */
export const claims = world(
  "claims",
  { claims: mapOf({ kind: "dyn" }) },
  {
    claims: {
      iss: "https://issuer.example.com",
      sub: "248289761001",
      aud: ["app", "other"],
      username: "jane",
      email: "Jane.Doe@example.com",
      email_verified: true,
      hd: "example.com",
      iat: 1_700_000_000,
      nbf: 1_700_000_000,
      exp: 1_700_003_600,
      roles: "dev,ops,admin",
      role: "solo",
      groups: ["admins", "system:masters", "Ops Team"],
      realm_access: { roles: ["r1", "r2"] },
      resource_access: { "my-client": { roles: ["c1"] } },
      "https://example.com/groups": ["ns1"],
      number: 42,
      float: 1.5,
      negative: -7,
      big: Number.MAX_SAFE_INTEGER,
      huge: 1e300,
      numbers: [3, 1, 2],
      numeric_string: "17",
      boolean_string: "true",
      nothing: null,
      emoji: "é中😀",
      empty_list: [],
      empty_map: {},
      empty_string: "",
      mixed: [1, "a", true, null, 1.5],
      deep: { a: { b: { c: "d" } } },
      list_of_maps: [
        { name: "one", admin: true },
        { name: "two", admin: false, extra: 1 },
      ],
      when: "2024-02-29T12:34:56Z",
      lifetime: "1h30m",
    },
  },
);

/** Kubernetes' AuthenticationConfiguration: the user that came of the claims. */
export const user = world(
  "user",
  {
    user: {
      kind: "object",
      name: "kubernetes.UserInfo",
      fields: { username: string, uid: string, groups: strings, extra: mapOf(strings) },
    },
  },
  {
    user: {
      username: "jane@example.com",
      uid: "",
      groups: ["admins", "developers"],
      extra: { "example.com/tenant": ["one", "two"] },
    },
  },
);

export const worlds: readonly World[] = [transformations, claims, user];
