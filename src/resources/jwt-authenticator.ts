import { Type } from "./type.ts";
import type { KubernetesObject, ResourceType } from "../kube/objects.ts";
import {
  AUTHENTICATION_GROUP,
  AUTHENTICATOR_CATEGORIES,
  authenticatorStatus,
} from "./authenticator-status.ts";
import type { AuthenticatorStatus } from "./authenticator-status.ts";
import { AGE_COLUMN, API_VERSION, objectSchema } from "./kind.ts";
import type { CustomResourceKind } from "./kind.ts";
import type { TypeOf } from "./schema.ts";
import { tlsSpec } from "./tls-spec.ts";

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
  },
  {
    description: "Which claims of a token become the user's name and groups.",
  },
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
