import { tlsProfiles } from "../tls/profiles.ts";
import { createAggregatedApi } from "./api/aggregated-api.ts";
import type { AggregatedApi, AggregatedApiOptions } from "./api/aggregated-api.ts";
import { createCertificateSigner } from "./credentials/certificate-signer.ts";
import { issueCredential } from "./credentials/issue-credential.ts";
import {
  decideLifetime,
  MAXIMUM_CLUSTER_LIFETIME_SECONDS,
  MAXIMUM_LIFETIME_SECONDS,
  MINIMUM_LIFETIME_SECONDS,
} from "./credentials/lifetime.ts";
import type { ServerContext } from "./server-context.ts";
import type { ConciergeState } from "./state/concierge-state.ts";
import { CLUSTER_SIGNER_NAME, PROXY_SIGNER_NAME } from "./state/state.ts";

/** What differs between a cluster and a folder of manifests. */
export type AggregatedApiParts = Pick<
  AggregatedApiOptions,
  "authorizer" | "tokens" | "isOwnPod" | "healthChecks" | "readinessChecks"
> & { readonly state: ConciergeState };

/** The aggregated API with the configuration's settings and the signers in the order of contract 2.4; it does not listen yet. */
export function buildAggregatedApi(
  context: ServerContext,
  parts: AggregatedApiParts,
): Promise<AggregatedApi> {
  const { config, clock, log, audit, metrics, version } = context;
  const { state } = parts;
  const signers = [
    createCertificateSigner({
      name: CLUSTER_SIGNER_NAME,
      keyPair: state.clusterSigningKey,
      maximumLifetimeSeconds: MAXIMUM_CLUSTER_LIFETIME_SECONDS,
    }),
    createCertificateSigner({
      name: PROXY_SIGNER_NAME,
      keyPair: state.proxySigningKey,
      maximumLifetimeSeconds: MAXIMUM_LIFETIME_SECONDS,
    }),
  ];
  const [major = "0", minor = "0"] = version.version.split(".");
  return createAggregatedApi({
    ...parts,
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
    issueCredential: async (identity, { maximumLifetimeSeconds }) => {
      const now = clock.now();
      const notAfterBounds =
        maximumLifetimeSeconds === undefined
          ? []
          : [new Date(now + Math.max(maximumLifetimeSeconds, MINIMUM_LIFETIME_SECONDS) * 1000)];
      return (await issueCredential(signers, identity, decideLifetime({ now, notAfterBounds }))).credential;
    },
  });
}
