/** A credential as `credentials.yaml` keeps it and as an ExecCredential's status shows it (contract cli.md 3, 7). Empty values are absent. */
export interface ClusterCredential {
  /** What the server reported (SE of contract cli.md 13.3), RFC 3339; a plain ID token's `exp`. Absent: no known end. */
  readonly expirationTimestamp?: string;
  readonly token?: string;
  /** PEM */
  readonly clientCertificateData?: string;
  /** PEM */
  readonly clientKeyData?: string;
}

/** A new credential and what its issue taught about the server's clock (contract cli.md 13.3). */
export interface IssuedCredential {
  readonly credential: ClusterCredential;
  /** Whether a Concierge issued it; otherwise it is an ID token, for which skew up to 60 s counts as none. */
  readonly fromConcierge: boolean;
  /** Milliseconds by which the issuer's `Date` is ahead of the local clock at the middle of the call; absent: not known. */
  readonly clockOffset?: number;
  /** The issuer's `Date`, milliseconds since the epoch. */
  readonly issuedAt?: number;
  /** Which endpoint's clock `clockOffset` speaks of, such as `https://proxy.example.com`. */
  readonly endpoint?: string;
}

/**
 * How a credential comes to be. `interactive: false` is an early renewal: session tokens, refresh grant and exchange only, no
 * browser, no prompt, nothing on stderr (rule 4); where that is not enough it throws `InteractionRequired`.
 */
export type RenewCredential = (options: {
  readonly interactive: boolean;
  readonly signal: AbortSignal;
}) => Promise<IssuedCredential>;
