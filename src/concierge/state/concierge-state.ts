import type { AuthenticatorSet } from "../authenticators/authenticator.ts";
import type { ReadonlyHolder } from "./holder.ts";

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
  /** The impersonation proxy's signing CA. */
  readonly proxySigningKey: ReadonlyHolder<KeyPair | undefined>;
  /** Absent: no front proxy is trusted. */
  readonly requestHeader: ReadonlyHolder<RequestHeaderConfiguration | undefined>;
  /** PEM of `client-ca-file`; absent: no client certificate is trusted. */
  readonly clientCaPem: ReadonlyHolder<string | undefined>;
  /** With which the impersonation proxy will speak to the kube-apiserver; in memory only. */
  readonly proxyToken: ReadonlyHolder<ProxyToken | undefined>;
  readonly authenticators: AuthenticatorSet;
}
