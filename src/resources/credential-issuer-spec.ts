import { Type } from "./type.ts";
import { extension, stringEnum, stringMap } from "./schema.ts";
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
    loadBalancerSourceRanges: Type.Optional(
      extension(
        Type.Array(Type.String({ description: "An address range in CIDR notation.", minLength: 1 }), {
          description: "From which addresses clients may come, where the cluster's load balancer honours it.",
          maxItems: 256,
        }),
      ),
    ),
    loadBalancerClass: Type.Optional(
      extension(
        Type.String({
          description:
            "The class of load balancer that is to serve the Service. Kubernetes does not let it change: when it does here, the Service is deleted and made anew, with another address.",
          minLength: 1,
          maxLength: 316,
        }),
      ),
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
    credential: Type.Optional(
      extension(
        stringEnum(["ClientCertificate", "BearerToken"], {
          description:
            "What is handed out to those who come through the proxy. A BearerToken can be renewed without closing connections. Absent: ClientCertificate.",
        }),
      ),
    ),
    maximumStreamSeconds: Type.Optional(
      extension(
        Type.Integer({
          description:
            "How long a watch, a log or a session may stay open at most. Absent or 0: without limit.",
          format: "int32",
          minimum: 0,
        }),
      ),
    ),
  },
  {
    description: "How the impersonation proxy runs and is reached.",
  },
);

const clientCertificate = Type.Object(
  {
    lifetimeSeconds: Type.Optional(
      Type.Integer({
        description: "How long a credential lives when its caller asks for nothing. Absent: 300.",
        format: "int32",
        minimum: 60,
        maximum: 86400,
      }),
    ),
    maximumLifetimeSeconds: Type.Optional(
      Type.Integer({
        description:
          "How long a credential lives at most. Absent: the greater of 300 and lifetimeSeconds. Certificates that the Kubernetes API server itself accepts live an hour at most.",
        format: "int32",
        minimum: 60,
        maximum: 86400,
      }),
    ),
    backdateSeconds: Type.Optional(
      Type.Integer({
        description:
          "How far before now a credential's validity begins, for clocks that are behind. Absent: 300.",
        format: "int32",
        minimum: 0,
        maximum: 3600,
      }),
    ),
    refreshLeadSeconds: Type.Optional(
      Type.Integer({
        description:
          "How much earlier than its end a credential is reported to expire, so that clients renew with an overlap. Absent: 45. Never more than 15 percent of the lifetime.",
        format: "int32",
        minimum: 0,
        maximum: 3600,
      }),
    ),
    boundToToken: Type.Optional(
      Type.Boolean({
        description:
          "Whether a credential ends with the token it was bought with, if that end is known; never in less than 300 seconds for that. Absent: true.",
      }),
    ),
  },
  { description: "How long the credentials live that this cluster hands out, of every kind." },
);

const certificateSigningRequestAPI = Type.Object(
  {
    mode: stringEnum(["Enabled", "Disabled"], {
      description:
        "Whether certificates are signed through the cluster's certificates.k8s.io API. Certificates made that way live 600 seconds at least.",
    }),
  },
  { description: "Signing through the CertificateSigningRequest API. Absent: Disabled." },
);

/** `spec` of a CredentialIssuer (contract 5.1). */
export const credentialIssuerSpec = Type.Object(
  {
    impersonationProxy,
    clientCertificate: Type.Optional(extension(clientCertificate)),
    certificateSigningRequestAPI: Type.Optional(extension(certificateSigningRequestAPI)),
  },
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

/** `spec.clientCertificate` of a CredentialIssuer (design.md section 5, S7). */
export type ClientCertificateSpec = TypeOf<typeof clientCertificate>;
