import { tlsProfiles } from "../tls/profiles.ts";
import { createAggregatedApi } from "./api/aggregated-api.ts";
import type { AggregatedApi, AggregatedApiOptions } from "./api/aggregated-api.ts";
import { createCertificateSigner } from "./credentials/certificate-signer.ts";
import { createCredentialIssuing } from "./credentials/issue-credential.ts";
import type { IssueBearer } from "./credentials/issue-credential.ts";
import { MAXIMUM_CLUSTER_LIFETIME_SECONDS, MAXIMUM_LIFETIME_SECONDS } from "./credentials/lifetime.ts";
import type { Signer } from "./credentials/signer.ts";
import type { ServerContext } from "./server-context.ts";
import type { ConciergeState } from "./state/concierge-state.ts";
import { CLUSTER_SIGNER_NAME, PROXY_SIGNER_NAME } from "./state/state.ts";

/** What differs between a cluster and a folder of manifests. */
export type AggregatedApiParts = Pick<
  AggregatedApiOptions,
  "authorizer" | "tokens" | "isOwnPod" | "healthChecks" | "readinessChecks" | "isDenied"
> & {
  readonly state: ConciergeState;
  /** What the proxy's signer may sign with; absent: whatever `state` has. */
  readonly proxySigningKey?: ConciergeState["proxySigningKey"] | undefined;
  /** Signing through `certificates.k8s.io`; absent: there is no such API here. */
  readonly certificateSigningRequestSigner?: Signer | undefined;
  /** S9; absent: there are no bearer credentials here. */
  readonly issueBearer?: IssueBearer | undefined;
};

/**
 * The aggregated API with the configuration's settings and the signers in the order of contract 2.4 and clarification 12; it does
 * not listen yet.
 */
export function buildAggregatedApi(
  context: ServerContext,
  parts: AggregatedApiParts,
): Promise<AggregatedApi> {
  const { config, clock, log, audit, metrics, version } = context;
  const { certificateSigningRequestSigner, issueBearer, proxySigningKey, ...api } = parts;
  const { state } = api;
  const signers = [
    createCertificateSigner({
      name: CLUSTER_SIGNER_NAME,
      keyPair: state.clusterSigningKey,
      maximumLifetimeSeconds: MAXIMUM_CLUSTER_LIFETIME_SECONDS,
      fault: state.sharedAuthorityFault,
    }),
    ...(certificateSigningRequestSigner === undefined ? [] : [certificateSigningRequestSigner]),
    createCertificateSigner({
      name: PROXY_SIGNER_NAME,
      keyPair: proxySigningKey ?? state.proxySigningKey,
      maximumLifetimeSeconds: MAXIMUM_LIFETIME_SECONDS,
    }),
  ];
  const [major = "0", minor = "0"] = version.version.split(".");
  return createAggregatedApi({
    ...api,
    clock,
    log,
    audit,
    metrics,
    apiGroupSuffix: config.apiGroupSuffix,
    extensions: config.extensions.enabled,
    version: {
      major,
      minor,
      gitVersion: `v${version.version}`,
      gitCommit: version.gitCommit,
      gitTreeState: version.gitCommit === "unknown" ? "" : "clean",
      buildDate: "1970-01-01T00:00:00Z",
      goVersion: `node${process.versions.node}`,
      compiler: "v8",
      platform: `${process.platform}/${process.arch}`,
    },
    tlsProfile: tlsProfiles.secureServer,
    reservedPrefixes: config.reservedIdentities.additionalPrefixes,
    limits: config.limits,
    credentials: createCredentialIssuing({
      signers,
      settings: state.credentialSettings,
      issueBearer,
      clock,
    }),
    credentialEvents: config.audit.credentialEvents,
  });
}
