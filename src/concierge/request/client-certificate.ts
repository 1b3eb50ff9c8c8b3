import type { Clock } from "../../clock.ts";
import type { Identity } from "../../identity/identity.ts";
import { CREDENTIAL_ID_EXTRA } from "../../identity/unsupported-user-info.ts";
import { subjectOf } from "../../pki/certificate.ts";
import type { Certificate } from "../../pki/certificate.ts";
import { createCertificateTrust } from "./presented-certificate.ts";
import type { RequestAuthenticator } from "./request-authenticator.ts";

export interface ClientCertificateAuthenticatorOptions {
  /** PEM of the CAs whose certificates name users, as of now; undefined: none. */
  readonly bundlePem: () => string | undefined;
  readonly clock: Clock;
}

/**
 * x509 authentication (contract 1.4 item 2, 7.3): CN is the username, O are the groups, the subject's UID attribute is the
 * UID, and the certificate's SHA-256 becomes the credential ID. A good certificate without CN names nobody. The chain is
 * judged at every request; what the certificate says is read once per leaf (S12).
 */
export function createClientCertificateAuthenticator(
  options: ClientCertificateAuthenticatorOptions,
): RequestAuthenticator {
  const { bundlePem, clock } = options;
  const trust = createCertificateTrust(bundlePem);
  const identities = new WeakMap<Certificate, Identity>();
  return {
    name: "x509",
    authenticate: async ({ certificate }) => {
      if (certificate === undefined || bundlePem() === undefined) {
        return undefined;
      }
      const leaf = trust.verify(certificate, clock.now()).chain[0];
      let identity = identities.get(leaf);
      if (identity === undefined) {
        identity = identityOf(leaf);
        identities.set(leaf, identity);
      }
      return identity.username === "" ? undefined : identity;
    },
  };
}

function identityOf(leaf: Certificate): Identity {
  const { commonName, organizations, uid } = subjectOf(leaf);
  return {
    username: commonName,
    ...(uid === undefined ? {} : { uid }),
    groups: organizations,
    extra: { [CREDENTIAL_ID_EXTRA]: [`X509SHA256=${leaf.sha256Hex}`] },
  };
}
