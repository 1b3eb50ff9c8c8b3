import { Type } from "./type.ts";
import type { KubernetesObject, ResourceType } from "../kube/objects.ts";
import {
  AUTHENTICATION_GROUP,
  AUTHENTICATOR_CATEGORIES,
  authenticatorStatus,
} from "./authenticator-status.ts";
import type { AuthenticatorStatus } from "./authenticator-status.ts";
import { commonAuthenticatorExtensions } from "./identity-transforms.ts";
import { AGE_COLUMN, API_VERSION, objectSchema } from "./kind.ts";
import type { CustomResourceKind } from "./kind.ts";
import type { TypeOf } from "./schema.ts";
import { tlsSpec } from "./tls-spec.ts";

const spec = Type.Object(
  {
    endpoint: Type.String({
      description: "The URL of a server that answers TokenReviews.",
      minLength: 1,
      pattern: "^https://",
    }),
    tls: Type.Optional(tlsSpec),
    ...commonAuthenticatorExtensions,
  },
  { description: "Which server judges the tokens." },
);

const schema = objectSchema(
  "A WebhookAuthenticator trusts what a TokenReview webhook says about a token. A token that the webhook knows is exchanged for a cluster credential by a TokenCredentialRequest that names this object.",
  spec,
  { status: Type.Optional(authenticatorStatus) },
);

/** `spec` of a WebhookAuthenticator (contract 4.1). */
export type WebhookAuthenticatorSpec = TypeOf<typeof spec>;

/** `status` of a WebhookAuthenticator. */
export type WebhookAuthenticatorStatus = AuthenticatorStatus;

/** `authentication.concierge.pinniped.dev/v1alpha1 WebhookAuthenticator`. */
export interface WebhookAuthenticator extends KubernetesObject {
  readonly spec: WebhookAuthenticatorSpec;
  readonly status?: WebhookAuthenticatorStatus;
}

/** Where WebhookAuthenticators are found. */
export const webhookAuthenticators: ResourceType<WebhookAuthenticator> = {
  group: AUTHENTICATION_GROUP,
  version: API_VERSION,
  kind: "WebhookAuthenticator",
  plural: "webhookauthenticators",
  namespaced: false,
};

/** All that the generators need to know about WebhookAuthenticators (contract 1.1). */
export const webhookAuthenticatorKind: CustomResourceKind<WebhookAuthenticator> = {
  backing: "crd",
  resource: webhookAuthenticators,
  singular: "webhookauthenticator",
  listKind: "WebhookAuthenticatorList",
  categories: AUTHENTICATOR_CATEGORIES,
  printerColumns: [
    { name: "Endpoint", type: "string", jsonPath: ".spec.endpoint" },
    { name: "Status", type: "string", jsonPath: ".status.phase" },
    AGE_COLUMN,
  ],
  schema,
};
