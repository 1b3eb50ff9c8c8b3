import { Type } from "./type.ts";
import { extension, stringEnum } from "./schema.ts";
import type { TypeOf } from "./schema.ts";

/** No expression is longer; the language engine refuses more as well. */
export const MAXIMUM_EXPRESSION_LENGTH = 4096;

const constant = Type.Object({
  name: Type.String({
    description:
      "The name that expressions use: strConst.<name> for a string, strListConst.<name> for a list.",
    minLength: 1,
    maxLength: 64,
    pattern: "^[a-zA-Z][_a-zA-Z0-9]*$",
  }),
  type: stringEnum(["string", "stringList"], { description: "Which of the two values counts." }),
  stringValue: Type.Optional(Type.String({ description: "The value of a constant of type string." })),
  stringListValue: Type.Optional(
    Type.Array(Type.String(), { description: "The value of a constant of type stringList." }),
  ),
});

const expression = Type.Object({
  type: stringEnum(["policy/v1", "username/v1", "groups/v1"], {
    description:
      "What the result is for: policy/v1 gives a bool, and false refuses the login; username/v1 gives the new username; groups/v1 gives the new list of groups.",
  }),
  expression: Type.String({
    description:
      "A CEL expression. It sees username (a string), groups (a list of strings), strConst and strListConst.",
    minLength: 1,
    maxLength: MAXIMUM_EXPRESSION_LENGTH,
  }),
  message: Type.Optional(
    Type.String({
      description:
        "Why a policy/v1 refuses, for the log and for examples; it is never shown to the person who logs in. Absent: authentication was rejected by a configured policy.",
      maxLength: 1024,
    }),
  ),
});

const expectation = Type.Object(
  {
    username: Type.Optional(Type.String({ description: "The username after all expressions." })),
    groups: Type.Optional(
      Type.Array(Type.String(), { description: "The groups after all expressions, in any order." }),
    ),
    rejected: Type.Optional(
      Type.Boolean({ description: "True: a policy/v1 must refuse, and only message is compared." }),
    ),
    message: Type.Optional(
      Type.String({ description: "The message of the policy/v1 that refuses. Absent: the default message." }),
    ),
  },
  { description: "What must come out." },
);

const example = Type.Object({
  username: Type.String({ description: "The username to begin with.", minLength: 1 }),
  groups: Type.Optional(Type.Array(Type.String(), { description: "The groups to begin with." })),
  expects: expectation,
});

/** `spec.transforms` of both authenticators, in the shape that a FederationDomain has (contract/supervisor.md 1.2). */
export const identityTransforms = extension(
  Type.Object(
    {
      constants: Type.Optional(
        Type.Array(constant, {
          description: "Values that expressions refer to by name.",
          maxItems: 64,
          "x-kubernetes-list-type": "map",
          "x-kubernetes-list-map-keys": ["name"],
        }),
      ),
      expressions: Type.Optional(
        Type.Array(expression, {
          description: "Run in their order; the result of each is what the next one sees.",
          maxItems: 64,
        }),
      ),
      examples: Type.Optional(
        Type.Array(example, {
          description:
            "Checked whenever this object changes. An authenticator with an example that fails is not used.",
          maxItems: 64,
        }),
      ),
    },
    {
      description:
        "How usernames and groups are changed, and which of them are refused, after the token has been accepted.",
    },
  ),
);

/** `spec.transforms` of both authenticators. */
export type IdentityTransformsSpec = TypeOf<typeof identityTransforms>;

const reservedNames = (description: string) =>
  Type.Array(Type.String({ minLength: 1, maxLength: 1024 }), {
    description,
    maxItems: 256,
    "x-kubernetes-list-type": "set",
  });

/** `spec.reservedIdentities` of both authenticators (S1). */
export const reservedIdentityExceptions = extension(
  Type.Object(
    {
      allowedUsernames: Type.Optional(
        reservedNames("Reserved usernames that this authenticator may give all the same: exact names."),
      ),
      allowedGroups: Type.Optional(
        reservedNames("Reserved groups that this authenticator may give all the same: exact names."),
      ),
    },
    {
      description:
        "Exceptions to the rule that names such as system:foo are refused. Names that stand for the cluster itself, such as system:masters, can never be allowed.",
    },
  ),
);

/** `spec.credential` of both authenticators (S7). */
export const credentialBounds = extension(
  Type.Object(
    {
      maximumLifetimeSeconds: Type.Optional(
        Type.Integer({
          description:
            "Credentials for identities from this authenticator live no longer than this, in seconds.",
          format: "int32",
          minimum: 60,
          maximum: 86_400,
        }),
      ),
    },
    { description: "Tighter bounds for the credentials that this authenticator's tokens buy." },
  ),
);

/** `spec.reservedIdentities` of both authenticators. */
export type ReservedIdentityExceptions = TypeOf<typeof reservedIdentityExceptions>;

/** `spec.credential` of both authenticators. */
export type CredentialBounds = TypeOf<typeof credentialBounds>;

/** The additive fields that both kinds of authenticators have (design.md section 5). */
export const commonAuthenticatorExtensions = {
  transforms: Type.Optional(identityTransforms),
  reservedIdentities: Type.Optional(reservedIdentityExceptions),
  credential: Type.Optional(credentialBounds),
};
