import { Type } from "./type.ts";
import { stringEnum } from "./schema.ts";
import type { TypeOf } from "./schema.ts";

const tokenCredentialRequestInfo = Type.Object(
  {
    server: Type.String({
      description: "The URL of the Kubernetes API server.",
      minLength: 1,
      pattern: "^https://|^http://",
    }),
    certificateAuthorityData: Type.String({
      description:
        "The bundle of PEM certificates that the API server's certificate chains to, base64 encoded.",
      minLength: 1,
    }),
  },
  {
    description:
      "Where to send a TokenCredentialRequest and use its credential. Set for this type of frontend.",
  },
);

const impersonationProxyInfo = Type.Object(
  {
    endpoint: Type.String({
      description: "The URL of the impersonation proxy.",
      minLength: 1,
      pattern: "^https://",
    }),
    certificateAuthorityData: Type.String({
      description: "The bundle of PEM certificates that the proxy's certificate chains to, base64 encoded.",
      minLength: 1,
    }),
  },
  {
    description: "How clients reach the impersonation proxy. Set for this type of frontend.",
  },
);

const frontend = Type.Object(
  {
    type: stringEnum(["TokenCredentialRequestAPI", "ImpersonationProxy"], {
      description: "Which of the other fields is set and what clients connect to.",
    }),
    tokenCredentialRequestInfo: Type.Optional(tokenCredentialRequestInfo),
    impersonationProxyInfo: Type.Optional(impersonationProxyInfo),
  },
  {
    description: "How clients use this strategy; present while it works.",
  },
);

const strategy = Type.Object(
  {
    type: stringEnum(
      ["KubeClusterSigningCertificate", "CertificateSigningRequestAPI", "ImpersonationProxy"],
      {
        description: "The way in which credentials are made to work.",
        extensionValues: ["CertificateSigningRequestAPI"],
      },
    ),
    status: stringEnum(["Success", "Error"], { description: "Whether the strategy works." }),
    reason: stringEnum(
      [
        "Listening",
        "Pending",
        "Disabled",
        "ErrorDuringSetup",
        "CouldNotFetchKey",
        "CouldNotGetClusterInfo",
        "FetchedKey",
        "IssuedCertificate",
        "CouldNotIssueCertificate",
      ],
      {
        description: "Why it has this status, in one word.",
        extensionValues: ["IssuedCertificate", "CouldNotIssueCertificate"],
      },
    ),
    message: Type.String({ description: "Why it has this status, for people.", minLength: 1 }),
    lastUpdateTime: Type.String({
      description: "When anything else about this strategy last changed.",
      format: "date-time",
    }),
    frontend: Type.Optional(frontend),
  },
  { description: "The state of one strategy." },
);

/** `status` of a CredentialIssuer (contract 5.2). */
export const credentialIssuerStatus = Type.Object(
  {
    strategies: Type.Array(strategy, {
      description: "The strategies for handing out credentials, in the order in which clients try them.",
    }),
  },
  {
    description: "Which ways to a credential work now, and how clients use them.",
  },
);

/** `status` of a CredentialIssuer. */
export type CredentialIssuerStatus = TypeOf<typeof credentialIssuerStatus>;

/** One entry of `status.strategies`. */
export type CredentialIssuerStrategy = TypeOf<typeof strategy>;

/** `status.strategies[].frontend`. */
export type CredentialIssuerFrontend = TypeOf<typeof frontend>;

/** `frontend.tokenCredentialRequestInfo`. */
export type TokenCredentialRequestAPIInfo = TypeOf<typeof tokenCredentialRequestInfo>;

/** `frontend.impersonationProxyInfo`. */
export type ImpersonationProxyInfo = TypeOf<typeof impersonationProxyInfo>;
