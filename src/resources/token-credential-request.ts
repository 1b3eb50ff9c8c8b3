import { Type } from "./type.ts";
import type { KubernetesObject, ResourceType } from "../kube/objects.ts";
import { API_VERSION, objectSchema } from "./kind.ts";
import type { AggregatedKind } from "./kind.ts";
import { extension } from "./schema.ts";
import type { TypeOf } from "./schema.ts";

const authenticator = Type.Object(
  {
    apiGroup: Type.Optional(
      Type.Unsafe<string | null>({
        type: "string",
        nullable: true,
        description: "The API group of the authenticator, authentication.concierge and the cluster's suffix.",
      }),
    ),
    kind: Type.String({ description: "The kind of the authenticator.", default: "" }),
    name: Type.String({ description: "The name of the authenticator.", default: "" }),
  },
  {
    description: "The authenticator that is to judge the token.",
  },
);

const spec = Type.Object(
  {
    token: Type.Optional(Type.String({ description: "The token to exchange." })),
    authenticator,
    expirationSeconds: Type.Optional(
      extension(
        Type.Integer({
          description:
            "How long the credential should live; 60 at least. It is brought within the cluster's bounds, and the answer says what was granted.",
          format: "int32",
        }),
      ),
    ),
    certificateSigningRequest: Type.Optional(
      extension(
        Type.String({
          description:
            "A PKCS#10 certificate signing request in PEM form. Its public key is certified, so that the private key stays with the caller; nothing else of it is used.",
        }),
      ),
    ),
  },
  {
    description: "The token, and the authenticator that is to judge it.",
  },
);

const credential = Type.Object(
  {
    expirationTimestamp: Type.Optional(
      Type.String({
        description:
          "By when to have a new credential: the time when this one stops working, or a little before.",
        format: "date-time",
      }),
    ),
    token: Type.Optional(Type.String({ description: "A bearer token for the Kubernetes API." })),
    clientCertificateData: Type.Optional(
      Type.String({ description: "A client certificate for the Kubernetes API, in PEM form." }),
    ),
    clientKeyData: Type.Optional(
      Type.String({ description: "The private key of the client certificate, in PEM form." }),
    ),
  },
  {
    description: "The credential; absent when the token was not accepted.",
  },
);

const status = Type.Object(
  {
    credential: Type.Optional(credential),
    message: Type.Optional(Type.String({ description: "Says that there is no credential." })),
  },
  {
    description: "What came of the exchange: a credential or a message.",
  },
);

const schema = objectSchema(
  "A TokenCredentialRequest exchanges a token that an authenticator of this cluster trusts for a cluster credential that lives for minutes. Nothing of it is stored.",
  Type.Optional(spec),
  { status: Type.Optional(status) },
);

/** `spec` of a TokenCredentialRequest (contract 2.1). */
export type TokenCredentialRequestSpec = TypeOf<typeof spec>;

/** `spec.authenticator` of a TokenCredentialRequest. */
export type AuthenticatorReference = TypeOf<typeof authenticator>;

/** `status` of a TokenCredentialRequest. */
export type TokenCredentialRequestStatus = TypeOf<typeof status>;

/** `status.credential` of a TokenCredentialRequest; times are RFC 3339 in UTC, whole seconds. */
export type ClusterCredential = TypeOf<typeof credential>;

/** `login.concierge.pinniped.dev/v1alpha1 TokenCredentialRequest`. */
export interface TokenCredentialRequest extends KubernetesObject {
  readonly spec?: TokenCredentialRequestSpec;
  readonly status?: TokenCredentialRequestStatus;
}

/** Where TokenCredentialRequests are created. */
export const tokenCredentialRequests: ResourceType<TokenCredentialRequest> = {
  group: "login.concierge.pinniped.dev",
  version: API_VERSION,
  kind: "TokenCredentialRequest",
  plural: "tokencredentialrequests",
  namespaced: false,
};

/** All that the generators need to know about TokenCredentialRequests (contract 1.1). */
export const tokenCredentialRequestKind: AggregatedKind<TokenCredentialRequest> = {
  backing: "aggregated",
  resource: tokenCredentialRequests,
  singular: "tokencredentialrequest",
  listKind: "TokenCredentialRequestList",
  categories: ["pinniped"],
  verbs: ["create", "list"],
  schema,
};
