import { credentialIssuerKind } from "./credential-issuer.ts";
import { jwtAuthenticatorKind } from "./jwt-authenticator.ts";
import type { AggregatedKind, CustomResourceKind, ResourceKind } from "./kind.ts";
import { tokenCredentialRequestKind } from "./token-credential-request.ts";
import { webhookAuthenticatorKind } from "./webhook-authenticator.ts";
import { whoAmIRequestKind } from "./who-am-i-request.ts";

/** The kinds that the kube-apiserver stores. */
export const customResourceKinds: readonly CustomResourceKind[] = [
  credentialIssuerKind,
  jwtAuthenticatorKind,
  webhookAuthenticatorKind,
];

/** The kinds that the aggregated API answers for, in the order of their groups. */
export const aggregatedKinds: readonly AggregatedKind[] = [whoAmIRequestKind, tokenCredentialRequestKind];

/** All kinds. */
export const resourceKinds: readonly ResourceKind[] = [...aggregatedKinds, ...customResourceKinds];
