import { Type } from "./type.ts";
import { stringEnum, stringMap } from "./schema.ts";
import type { TypeOf } from "./schema.ts";

const service = Type.Object(
  {
    type: Type.Optional(
      stringEnum(["LoadBalancer", "ClusterIP", "None"], {
        description:
          "The type of Service that is made for the proxy. None makes no Service; externalEndpoint must then be set.",
        default: "LoadBalancer",
      }),
    ),
    loadBalancerIP: Type.Optional(
      Type.String({
        description:
          "Goes to spec.loadBalancerIP of the Service, where the cluster's load balancer honours it.",
        minLength: 1,
        maxLength: 255,
      }),
    ),
    annotations: Type.Optional(
      stringMap({ description: "Annotations for the Service, mostly for the cluster's load balancer." }),
    ),
  },
  {
    description: "The Service that the Concierge makes in front of the proxy.",
    default: { type: "LoadBalancer" },
  },
);

const tls = Type.Object(
  {
    certificateAuthorityData: Type.Optional(
      Type.String({
        description:
          "A bundle of PEM certificates, base64 encoded, that clients are told to trust. Only advertised. Absent: ca.crt of the Secret.",
      }),
    ),
    secretName: Type.Optional(
      Type.String({
        description:
          "The name of a Secret of type kubernetes.io/tls, in the namespace of the Concierge, with the proxy's serving certificate.",
        minLength: 1,
      }),
    ),
  },
  {
    description:
      "A serving certificate of your own for the proxy. Absent: the Concierge makes a certificate authority and a certificate.",
  },
);

const impersonationProxy = Type.Object(
  {
    mode: stringEnum(["auto", "enabled", "disabled"], {
      description:
        "Whether the proxy runs. auto runs it when no node of the cluster is a control-plane node, as in most hosted clusters.",
    }),
    service,
    externalEndpoint: Type.Optional(
      Type.String({
        description:
          "The host name or IP address, optionally with a port (443 otherwise), under which clients reach the proxy. Absent: taken from the Service.",
      }),
    ),
    tls: Type.Optional(tls),
  },
  {
    description: "How the impersonation proxy runs and is reached.",
  },
);

/** `spec` of a CredentialIssuer (contract 5.1). */
export const credentialIssuerSpec = Type.Object(
  { impersonationProxy },
  { description: "How the cluster hands out credentials." },
);

/** `spec` of a CredentialIssuer. */
export type CredentialIssuerSpec = TypeOf<typeof credentialIssuerSpec>;

/** `spec.impersonationProxy` of a CredentialIssuer. */
export type ImpersonationProxySpec = TypeOf<typeof impersonationProxy>;

/** `spec.impersonationProxy.service` of a CredentialIssuer. */
export type ImpersonationProxyServiceSpec = TypeOf<typeof service>;

/** `spec.impersonationProxy.tls` of a CredentialIssuer. */
export type ImpersonationProxyTLSSpec = TypeOf<typeof tls>;
