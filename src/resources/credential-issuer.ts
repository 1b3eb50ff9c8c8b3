import { Type } from "./type.ts";
import type { KubernetesObject, ResourceType } from "../kube/objects.ts";
import { credentialIssuerSpec } from "./credential-issuer-spec.ts";
import type { CredentialIssuerSpec } from "./credential-issuer-spec.ts";
import { credentialIssuerStatus } from "./credential-issuer-status.ts";
import type { CredentialIssuerStatus } from "./credential-issuer-status.ts";
import { AGE_COLUMN, API_VERSION, objectSchema } from "./kind.ts";
import type { CustomResourceKind } from "./kind.ts";

const schema = objectSchema(
  "The CredentialIssuer says how this cluster hands out credentials and, in its status, where clients get and use them. A cluster has exactly one.",
  credentialIssuerSpec,
  { status: Type.Optional(credentialIssuerStatus) },
);

/** `config.concierge.pinniped.dev/v1alpha1 CredentialIssuer`. */
export interface CredentialIssuer extends KubernetesObject {
  readonly spec: CredentialIssuerSpec;
  readonly status?: CredentialIssuerStatus;
}

/** Where CredentialIssuers are found. */
export const credentialIssuers: ResourceType<CredentialIssuer> = {
  group: "config.concierge.pinniped.dev",
  version: API_VERSION,
  kind: "CredentialIssuer",
  plural: "credentialissuers",
  namespaced: false,
};

/** All that the generators need to know about CredentialIssuers (contract 1.1). */
export const credentialIssuerKind: CustomResourceKind<CredentialIssuer> = {
  backing: "crd",
  resource: credentialIssuers,
  singular: "credentialissuer",
  listKind: "CredentialIssuerList",
  categories: ["pinniped"],
  printerColumns: [
    { name: "ProxyMode", type: "string", jsonPath: ".spec.impersonationProxy.mode" },
    {
      name: "DefaultStrategy",
      type: "string",
      jsonPath: '.status.strategies[?(@.status == "Success")].type',
    },
    AGE_COLUMN,
  ],
  schema,
};
