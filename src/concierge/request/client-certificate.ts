import type { Clock } from "../../clock.ts";
import type { Identity } from "../../identity/identity.ts";
import { CREDENTIAL_ID_EXTRA } from "../../identity/unsupported-user-info.ts";
import { subjectOf } from "../../pki/certificate.ts";
import type { Certificate } from "../../pki/certificate.ts";
import { createCertificateTrust } from "./presented-certificate.ts";
import type { PresentedCertificate } from "./presented-certificate.ts";
import type { RequestAuthenticator } from "./request-authenticator.ts";

export interface ClientCertificateAuthenticatorOptions {
  /** PEM of the CAs whose certificates name users, as of now; undefined: none. */
  readonly bundlePem: () => string | undefined;
  readonly clock: Clock;
}

/** Reads who a certificate's holder is. */
export interface CertificateReader {
  /**
   * The identity and the leaf behind it; the same two objects for the same leaf as long as it is remembered (S12). An identity
   * with an empty username is nobody. Throws for a certificate that does not chain to the bundle of this moment; `at` in
   * milliseconds since the epoch, now when absent.
   */
  read(
    certificate: PresentedCertificate,
    at?: number,
  ): { readonly identity: Identity; readonly leaf: Certificate };
}

/**
 * The chain is judged at every call; what the certificate says is read once per leaf (S12): CN is the username, O are the
 * groups, the subject's UID attribute is the UID, and the certificate's SHA-256 becomes the credential ID (contract 7.3).
 */
export function createCertificateReader(options: ClientCertificateAuthenticatorOptions): CertificateReader {
  const { bundlePem, clock } = options;
  const trust = createCertificateTrust(bundlePem);
  const known = new WeakMap<Certificate, { readonly identity: Identity; readonly leaf: Certificate }>();
  return {
    read: (certificate, at = clock.now()) => {
      const leaf = trust.verify(certificate, at).chain[0];
      let entry = known.get(leaf);
      if (entry === undefined) {
        entry = { identity: identityOf(leaf), leaf };
        known.set(leaf, entry);
      }
      return entry;
    },
  };
}

/** x509 authentication (contract 1.4 item 2, 7.3). A good certificate without CN names nobody. */
export function createClientCertificateAuthenticator(
  options: ClientCertificateAuthenticatorOptions,
): RequestAuthenticator {
  const { bundlePem } = options;
  const reader = createCertificateReader(options);
  return {
    name: "x509",
    authenticate: async ({ certificate }) => {
      if (certificate === undefined || bundlePem() === undefined) {
        return undefined;
      }
      const { identity } = reader.read(certificate);
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
