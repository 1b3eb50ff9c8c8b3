import type { LeaderElectionDurations } from "../../kube/leader-election.ts";
import type { LogLevel } from "../../telemetry/log.ts";

/** The names of the objects that the Concierge makes or looks for (contract 9.2 `names`). */
export interface ObjectNames {
  readonly servingCertificateSecret: string;
  readonly credentialIssuer: string;
  readonly apiService: string;
  readonly impersonationLoadBalancerService: string;
  readonly impersonationClusterIPService: string;
  readonly impersonationTLSCertificateSecret: string;
  readonly impersonationCACertificateSecret: string;
  readonly impersonationSignerSecret: string;
  readonly agentServiceAccount: string;
  readonly impersonationProxyServiceAccount: string;
  readonly impersonationProxyLegacySecret: string;
}

/** A token bucket: `perSecond` tokens come in, up to `burst` are kept. */
export interface RateLimit {
  readonly perSecond: number;
  readonly burst: number;
}

/** S18, clarification 27. */
export interface Limits {
  /** Failed exchanges of one source. */
  readonly failuresPerSource: RateLimit;
  /** Failed exchanges at one authenticator. */
  readonly failuresPerAuthenticator: RateLimit;
  readonly tokenReviewsPerSource: RateLimit;
  readonly tokenReviews: RateLimit;
  readonly concurrentCreates: number;
}

/** Standalone mode: a folder of manifests instead of a cluster (S22). */
export interface StandaloneConfig {
  readonly manifestsFolder: string;
  readonly stateFolder: string;
  /** `host:port` of the local API. */
  readonly listenAddress: string;
}

/** The static configuration file, checked and with all defaults in place (contract 9.2). */
export interface ConciergeConfig {
  /** Replaces the server of the cluster-info ConfigMap. */
  readonly discoveryUrl: string | undefined;
  readonly api: {
    readonly servingCertificate: {
      readonly durationSeconds: number;
      /** An age, not a time to expiry (contract 6.3). */
      readonly renewBeforeSeconds: number;
    };
  };
  readonly apiGroupSuffix: string;
  readonly aggregatedAPIServerPort: number;
  readonly impersonationProxyServerPort: number;
  readonly aggregatedAPIServerDisableAdmissionPlugins: readonly string[];
  readonly names: ObjectNames;
  /** Put on every object that is created. */
  readonly labels: Readonly<Record<string, string>>;
  readonly kubeCertAgent: {
    /** Clarification 12. */
    readonly enabled: boolean;
    readonly namePrefix: string;
    readonly image: string;
    readonly imagePullSecrets: readonly string[];
    readonly priorityClassName: string;
  };
  readonly log: { readonly level: LogLevel };
  readonly tls: { readonly onedottwo: { readonly allowedCiphers: readonly string[] } };
  readonly audit: {
    readonly logUsernamesAndGroups: boolean;
    /** One line per request at the impersonation proxy (clarification 28). */
    readonly proxiedRequests: boolean;
    /** The further event `Credential Issued`. */
    readonly credentialEvents: boolean;
  };
  readonly metrics: {
    /** A port for metrics without TLS and without authentication; undefined: there is none. */
    readonly plainPort: number | undefined;
  };
  readonly limits: Limits;
  /** S1: refused beside the built-in prefixes. */
  readonly reservedIdentities: { readonly additionalPrefixes: readonly string[] };
  /** Milliseconds; the defaults are those of contract 6.8. */
  readonly leaderElection: LeaderElectionDurations;
  /** Whether the API shows the fields that the contract does not have (clarification 1). */
  readonly extensions: { readonly enabled: boolean };
  readonly standalone: StandaloneConfig | undefined;
}
