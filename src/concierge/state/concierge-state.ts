import type { AuthenticatorSet } from "../authenticators/authenticator.ts";
import type { CredentialSettings } from "./credential-settings.ts";
import type { Holder, ReadonlyHolder } from "./holder.ts";
import type { BearerKeys, DenyList, ProxySettings, ProxyState } from "./proxy.ts";

/** A certificate (chain) with its key, PEM. */
export interface KeyPair {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** How the aggregator proves itself and names the user (ConfigMap `kube-system/extension-apiserver-authentication`, contract 1.4). */
export interface RequestHeaderConfiguration {
  /** PEM of `requestheader-client-ca-file`; never empty. */
  readonly clientCaPem: string;
  /** Empty means any common name. */
  readonly allowedNames: readonly string[];
  /** Lower case. */
  readonly usernameHeaders: readonly string[];
  readonly uidHeaders: readonly string[];
  readonly groupHeaders: readonly string[];
  readonly extraHeaderPrefixes: readonly string[];
}

/** A token of the impersonation proxy's ServiceAccount (contract 6.9). */
export interface ProxyToken {
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** What controllers publish and servers read (design.md section 3). */
export interface ConciergeState {
  /** The aggregated API's serving certificate; without it every handshake fails (contract 6.3). */
  readonly servingCertificate: ReadonlyHolder<KeyPair | undefined>;
  /** Cluster signing key, read by the kube-cert-agent controller. */
  readonly clusterSigningKey: ReadonlyHolder<KeyPair | undefined>;
  /** The CA that signs for the impersonation proxy now; after a rotation it is the old one for 60 s (S10). */
  readonly proxySigningKey: ReadonlyHolder<KeyPair | undefined>;
  /** PEM of all CAs whose certificates the impersonation proxy believes now, as far as they are its own (S10). */
  readonly proxySignerTrust: ReadonlyHolder<string | undefined>;
  /** Keys of bearer credentials (S9). */
  readonly bearerKeys: ReadonlyHolder<BearerKeys | undefined>;
  /** `iss` and `aud` of our own bearer credentials (S9); known once the cluster's UIDs are. */
  readonly bearerAudience: ReadonlyHolder<string | undefined>;
  /** What the CredentialIssuer says about credentials. */
  readonly credentialSettings: ReadonlyHolder<CredentialSettings>;
  /** Why the cluster's CAs must not be mixed up here (S11); undefined: they need not. */
  readonly sharedAuthorityFault: ReadonlyHolder<string | undefined>;
  /** Absent: the impersonation proxy is not supposed to run. */
  readonly proxySettings: ReadonlyHolder<ProxySettings | undefined>;
  /** What became of it; the server writes this one. */
  readonly proxyState: Holder<ProxyState>;
  /** The impersonation proxy's serving certificate; without it every handshake fails (contract 6.6). */
  readonly proxyServingCertificate: ReadonlyHolder<KeyPair | undefined>;
  /** Absent: it has not been read yet, and nobody is let in (S15). */
  readonly denyList: ReadonlyHolder<DenyList | undefined>;
  /** Absent: no front proxy is trusted. */
  readonly requestHeader: ReadonlyHolder<RequestHeaderConfiguration | undefined>;
  /** PEM of `client-ca-file`; absent: no client certificate is trusted. */
  readonly clientCaPem: ReadonlyHolder<string | undefined>;
  /** With which the impersonation proxy will speak to the kube-apiserver; in memory only. */
  readonly proxyToken: ReadonlyHolder<ProxyToken | undefined>;
  readonly authenticators: AuthenticatorSet;
}
