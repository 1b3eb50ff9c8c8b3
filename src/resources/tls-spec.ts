import { Type } from "./type.ts";
import { stringEnum } from "./schema.ts";
import type { TypeOf } from "./schema.ts";

const certificateAuthorityDataSource = Type.Object(
  {
    kind: stringEnum(["Secret", "ConfigMap"], {
      description:
        "The kind of object to read from: a Secret (of type Opaque or kubernetes.io/tls) or a ConfigMap, in the namespace of the Concierge.",
    }),
    name: Type.String({ description: "The name of the Secret or ConfigMap.", minLength: 1 }),
    key: Type.String({
      description: "The key in its data whose value is a bundle of PEM certificates.",
      minLength: 1,
    }),
  },
  {
    description:
      "An object to read the bundle of certificate authorities from. Changes to that object are followed. Not together with certificateAuthorityData.",
  },
);

/** How to verify the server that an authenticator calls (contract 4.1). */
export const tlsSpec = Type.Object(
  {
    certificateAuthorityData: Type.Optional(
      Type.String({
        description:
          "A bundle of PEM certificates, base64 encoded, that the server's certificate must chain to. Replaces the system's roots.",
      }),
    ),
    certificateAuthorityDataSource: Type.Optional(certificateAuthorityDataSource),
  },
  {
    description: "How the server's certificate is verified. Absent: by the roots of the container image.",
  },
);

/** `spec.tls` of both authenticators. */
export type TLSSpec = TypeOf<typeof tlsSpec>;

/** `spec.tls.certificateAuthorityDataSource` of both authenticators. */
export type CertificateAuthorityDataSourceSpec = TypeOf<typeof certificateAuthorityDataSource>;
