/** How long credentials live, in whole seconds (design.md section 5, S7). */
export interface LifetimePolicy {
  /** What is given to those who ask for nothing. */
  readonly lifetimeSeconds: number;
  /** What is given at most. */
  readonly maximumLifetimeSeconds: number;
  /** How long before now validity begins, for clocks that are behind. */
  readonly backdateSeconds: number;
  /** How much before its end a credential is reported to expire. */
  readonly refreshLeadSeconds: number;
  /** Whether a credential ends with its token; undefined: it does when it would live longer than 300 s. */
  readonly boundToToken: boolean | undefined;
}

/** What the CredentialIssuer says about handing out credentials; in force from the next request on. */
export interface CredentialSettings {
  readonly lifetimes: LifetimePolicy;
  /** Clarification 12. */
  readonly certificateSigningRequestApi: boolean;
  /** What those get who come through the proxy (S9). */
  readonly proxyCredential: "ClientCertificate" | "BearerToken";
  /** S16; 0 is without limit. */
  readonly maximumStreamSeconds: number;
}

/** Five minutes back and forth (contract 2.4). */
export const defaultLifetimePolicy: LifetimePolicy = {
  lifetimeSeconds: 300,
  maximumLifetimeSeconds: 300,
  backdateSeconds: 300,
  refreshLeadSeconds: 45,
  boundToToken: undefined,
};

/** In force while no CredentialIssuer says otherwise. */
export const defaultCredentialSettings: CredentialSettings = {
  lifetimes: defaultLifetimePolicy,
  certificateSigningRequestApi: false,
  proxyCredential: "ClientCertificate",
  maximumStreamSeconds: 0,
};
