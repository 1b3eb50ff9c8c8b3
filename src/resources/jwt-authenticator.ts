import { Type } from "./type.ts";
import type { KubernetesObject, ResourceType } from "../kube/objects.ts";
import {
  AUTHENTICATION_GROUP,
  AUTHENTICATOR_CATEGORIES,
  authenticatorStatus,
} from "./authenticator-status.ts";
import type { AuthenticatorStatus } from "./authenticator-status.ts";
import { commonAuthenticatorExtensions, MAXIMUM_EXPRESSION_LENGTH } from "./identity-transforms.ts";
import { AGE_COLUMN, API_VERSION, objectSchema } from "./kind.ts";
import type { CustomResourceKind } from "./kind.ts";
import { extension } from "./schema.ts";
import type { TypeOf } from "./schema.ts";
import { tlsSpec } from "./tls-spec.ts";

const celExpression = (description: string) =>
  Type.String({ description, minLength: 1, maxLength: MAXIMUM_EXPRESSION_LENGTH });

const extraMapping = Type.Object({
  key: Type.String({
    description:
      "The key: a lower-case path with a domain in front, such as example.com/team. kubernetes.io, k8s.io and the Concierge's own domain cannot be used, nor what is below them.",
    minLength: 1,
    maxLength: 510,
  }),
  valueExpression: celExpression(
    "A CEL expression over claims that gives a string or a list of strings. Nothing, or an empty string, leaves the key out.",
  ),
});

const claims = Type.Object(
  {
    username: Type.Optional(
      Type.String({
        description: "The claim that holds the username. Absent or empty means the claim named username.",
      }),
    ),
    groups: Type.Optional(
      Type.String({
        description:
          "The claim that holds the groups, a string or a list of strings. Absent or empty means the claim named groups.",
      }),
    ),
    usernameExpression: Type.Optional(
      extension(
        celExpression("A CEL expression over claims that gives the username. Not together with username."),
      ),
    ),
    groupsExpression: Type.Optional(
      extension(
        celExpression(
          "A CEL expression over claims that gives the groups, a string or a list of strings. Not together with groups.",
        ),
      ),
    ),
    extra: Type.Optional(
      extension(
        Type.Array(extraMapping, {
          description:
            "Further facts about the user. A credential that cannot carry them is refused; certificates cannot.",
          maxItems: 32,
          "x-kubernetes-list-type": "map",
          "x-kubernetes-list-map-keys": ["key"],
        }),
      ),
    ),
  },
  {
    description: "Which claims of a token become the user's name and groups.",
    "x-lanyard-extension-validations": [
      {
        rule: "!has(self.username) || !has(self.usernameExpression)",
        message: "username and usernameExpression cannot both be set",
      },
      {
        rule: "!has(self.groups) || !has(self.groupsExpression)",
        message: "groups and groupsExpression cannot both be set",
      },
    ],
  },
);

const claimValidationRule = Type.Object(
  {
    claim: Type.Optional(
      Type.String({
        description:
          "A claim that a token must have, with the string requiredValue. Not together with expression.",
        minLength: 1,
        maxLength: 256,
      }),
    ),
    requiredValue: Type.Optional(
      Type.String({
        description: "The value that claim must have. Absent means the empty string.",
        maxLength: 1024,
      }),
    ),
    expression: Type.Optional(
      celExpression("A CEL expression over claims that must be true. Not together with claim."),
    ),
    message: Type.Optional(
      Type.String({
        description: "Why a token is refused when expression is not true, for the audit log.",
        maxLength: 1024,
      }),
    ),
  },
  {
    "x-kubernetes-validations": [
      {
        rule: "has(self.claim) != has(self.expression)",
        message: "exactly one of claim and expression must be set",
      },
      {
        rule: "!has(self.requiredValue) || has(self.claim)",
        message: "requiredValue can only be set together with claim",
      },
      {
        rule: "!has(self.message) || has(self.expression)",
        message: "message can only be set together with expression",
      },
    ],
  },
);

const userValidationRule = Type.Object({
  expression: celExpression(
    "A CEL expression over user (username, groups, uid and extra, before any transforms) that must be true.",
  ),
  message: Type.Optional(
    Type.String({
      description: "Why a user is refused when expression is not true, for the audit log.",
      maxLength: 1024,
    }),
  ),
});

const jwks = Type.Object(
  {
    maximumStaleSeconds: Type.Optional(
      Type.Integer({
        description:
          "How long the last keys stay in force while no new ones can be fetched, in seconds. 0 means for ever. Absent means 86400.",
        format: "int32",
        minimum: 0,
      }),
    ),
  },
  { description: "How the issuer's keys are kept." },
);

const spec = Type.Object(
  {
    issuer: Type.String({
      description:
        "The issuer's URL. It must equal the iss claim of the tokens, and its discovery document must be found below it.",
      minLength: 1,
      pattern: "^https://",
    }),
    audience: Type.String({
      description: "The value that the aud claim of a token must have or contain.",
      minLength: 1,
    }),
    claims: Type.Optional(claims),
    tls: Type.Optional(tlsSpec),
    claimValidationRules: Type.Optional(
      extension(
        Type.Array(claimValidationRule, {
          description: "What the claims of a token must be like.",
          maxItems: 32,
          "x-kubernetes-validations": [
            {
              rule: "self.all(a, !has(a.claim) || self.exists_one(b, has(b.claim) && b.claim == a.claim))",
              message: "a claim can only have one rule",
            },
            {
              rule: "self.all(a, !has(a.expression) || self.exists_one(b, has(b.expression) && b.expression == a.expression))",
              message: "an expression can only be given once",
            },
          ],
        }),
      ),
    ),
    userValidationRules: Type.Optional(
      extension(
        Type.Array(userValidationRule, {
          description: "What a user must be like, after the claims have been mapped.",
          maxItems: 32,
          "x-kubernetes-list-type": "map",
          "x-kubernetes-list-map-keys": ["expression"],
        }),
      ),
    ),
    jwks: Type.Optional(extension(jwks)),
    ...commonAuthenticatorExtensions,
  },
  { description: "Which tokens are trusted, and how they are read." },
);

const schema = objectSchema(
  "A JWTAuthenticator trusts the ID tokens of one OpenID Connect issuer. A token that verifies is exchanged for a cluster credential by a TokenCredentialRequest that names this object.",
  spec,
  { status: Type.Optional(authenticatorStatus) },
);

/** `spec` of a JWTAuthenticator (contract 4.1). */
export type JWTAuthenticatorSpec = TypeOf<typeof spec>;

/** `spec.claims` of a JWTAuthenticator. */
export type JWTTokenClaims = TypeOf<typeof claims>;

/** `status` of a JWTAuthenticator. */
export type JWTAuthenticatorStatus = AuthenticatorStatus;

/** `authentication.concierge.pinniped.dev/v1alpha1 JWTAuthenticator`. */
export interface JWTAuthenticator extends KubernetesObject {
  readonly spec: JWTAuthenticatorSpec;
  readonly status?: JWTAuthenticatorStatus;
}

/** Where JWTAuthenticators are found. */
export const jwtAuthenticators: ResourceType<JWTAuthenticator> = {
  group: AUTHENTICATION_GROUP,
  version: API_VERSION,
  kind: "JWTAuthenticator",
  plural: "jwtauthenticators",
  namespaced: false,
};

/** All that the generators need to know about JWTAuthenticators (contract 1.1). */
export const jwtAuthenticatorKind: CustomResourceKind<JWTAuthenticator> = {
  backing: "crd",
  resource: jwtAuthenticators,
  singular: "jwtauthenticator",
  listKind: "JWTAuthenticatorList",
  categories: AUTHENTICATOR_CATEGORIES,
  printerColumns: [
    { name: "Issuer", type: "string", jsonPath: ".spec.issuer" },
    { name: "Audience", type: "string", jsonPath: ".spec.audience" },
    { name: "Status", type: "string", jsonPath: ".status.phase" },
    AGE_COLUMN,
  ],
  schema,
};
