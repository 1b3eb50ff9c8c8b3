import type { Identity } from "../../identity/identity.ts";

/** A client certificate as it goes into `status.credential` (contract 2.1). */
export interface ClientCertificateCredential {
  readonly clientCertificateData: string;
  /** Absent when the caller has the key (`certificateSigningRequest`). */
  readonly clientKeyData?: string | undefined;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** What is asked of a signer. */
export interface SigningRequest {
  readonly identity: Identity;
  readonly lifetime: Lifetime;
  /** The caller's key as SubjectPublicKeyInfo DER, possession proven; absent: the signer makes a key pair. */
  readonly publicKeyInfo?: Uint8Array | undefined;
  /** Ends when the caller leaves or time is up. */
  readonly signal: AbortSignal;
}

/** Identity in, certificate out. `name` is the one of contract 2.4 (`concierge-kube-signing-cert`, ...). */
export interface Signer {
  readonly name: string;
  /** Shorter is impossible: it is skipped where the bounds demand it (S7). Whole seconds. */
  readonly minimumLifetimeSeconds: number;
  /** Longer is never given (S7). Whole seconds. */
  readonly maximumLifetimeSeconds: number;
  /** Whether it certifies a caller's own key (S6: the CSR API never does). */
  readonly acceptsPublicKeys: boolean;
  /** Absent: always. One that is not active is neither asked nor named. */
  isActive?(): boolean;
  /**
   * For how long, in whole seconds, it may take another's clock to begin the minimum lifetime: only such a shortest
   * certificate may end that much later than asked. Absent: 0.
   */
  readonly signingSeconds?: number | undefined;
  /** Why it cannot issue at the moment, where it knows beforehand: it is named then, but not asked. Absent, undefined: ask it. */
  problem?(): unknown;
  /** Throws when it has no key loaded or cannot issue; the next signer is asked then. */
  issue(request: SigningRequest): Promise<ClientCertificateCredential>;
}

/** The validity asked of a signer, whole seconds. */
export interface Lifetime {
  readonly notBefore: Date;
  readonly notAfter: Date;
}
