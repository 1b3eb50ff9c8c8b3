import type { Identity } from "../../identity/identity.ts";

/** A client certificate with its key, as it goes into `status.credential` (contract 2.1). */
export interface ClientCertificateCredential {
  readonly clientCertificateData: string;
  readonly clientKeyData: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/**
 * Identity in, credential out. `name` is the one of contract 2.4 (`concierge-kube-signing-cert`, ...).
 * `issue` throws when the signer has no key loaded; the next signer is asked then.
 */
export interface Signer {
  readonly name: string;
  issue(identity: Identity, lifetime: Lifetime): Promise<ClientCertificateCredential>;
}

/** The validity asked of a signer, whole seconds. */
export interface Lifetime {
  readonly notBefore: Date;
  readonly notAfter: Date;
}
