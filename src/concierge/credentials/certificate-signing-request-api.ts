import type { Clock } from "../../clock.ts";
import { LanyardError } from "../../errors.ts";
import type { CredentialSettings } from "../state/credential-settings.ts";
import type { ReadonlyHolder } from "../state/holder.ts";
import { MINIMUM_CLUSTER_SIGNING_SECONDS, SIGNING_SECONDS } from "./cluster-signing.ts";
import type { ClusterSigning } from "./cluster-signing.ts";
import { MAXIMUM_CLUSTER_LIFETIME_SECONDS } from "./lifetime.ts";
import type { Signer } from "./signer.ts";

/** As it is called in errors and audit lines. */
export const CERTIFICATE_SIGNING_REQUEST_SIGNER_NAME = "certificate-signing-request-api";

/** At a time and by replica; more are refused, so that the next signer is asked. */
export const MAXIMUM_REQUESTS_IN_FLIGHT = 20;

/**
 * Client certificates that the cluster signs through `certificates.k8s.io` (S6), while the CredentialIssuer says so. The
 * lifetime counts from the cluster's signing: a few seconds less are asked for, so that the end is not later than the one
 * asked for; a shortest lifetime may end those few seconds later. Refusals: `signer.fault` (S11), `signer.busy`, those
 * of `ClusterSigning`.
 */
export function createCertificateSigningRequestSigner(options: {
  readonly signing: ClusterSigning;
  readonly clock: Pick<Clock, "now">;
  readonly settings: ReadonlyHolder<CredentialSettings>;
  /** Why nothing may be signed at the moment (S11). */
  readonly fault: ReadonlyHolder<string | undefined>;
}): Signer {
  const { signing, clock, settings, fault } = options;
  let inFlight = 0;
  return {
    name: CERTIFICATE_SIGNING_REQUEST_SIGNER_NAME,
    minimumLifetimeSeconds: MINIMUM_CLUSTER_SIGNING_SECONDS,
    maximumLifetimeSeconds: MAXIMUM_CLUSTER_LIFETIME_SECONDS,
    acceptsPublicKeys: false,
    signingSeconds: SIGNING_SECONDS,
    isActive: () => settings.current.certificateSigningRequestApi,
    issue: async ({ identity, lifetime, signal }) => {
      if (fault.current !== undefined) {
        throw new LanyardError({ code: "signer.fault", message: fault.current });
      }
      if (inFlight >= MAXIMUM_REQUESTS_IN_FLIGHT) {
        throw new LanyardError({
          code: "signer.busy",
          message: `${MAXIMUM_REQUESTS_IN_FLIGHT} CertificateSigningRequests are under way already`,
        });
      }
      inFlight++;
      try {
        const { expirationSeconds, latestNotAfter } = expirationFor(lifetime.notAfter, clock.now());
        const { username, groups } = identity;
        const signed = await signing.sign({ username, groups, expirationSeconds, latestNotAfter, signal });
        return {
          clientCertificateData: signed.certificatePem,
          clientKeyData: signed.privateKeyPem,
          notBefore: signed.certificate.notBefore,
          notAfter: signed.certificate.notAfter,
        };
      } finally {
        inFlight--;
      }
    },
  };
}

/** What to ask for, so that the certificate ends by `notAfter` if signing takes as long as it may, and what to accept. */
export function expirationFor(
  notAfter: Date,
  now: number,
): { readonly expirationSeconds: number; readonly latestNotAfter: number } {
  const second = Math.floor(now / 1000);
  const seconds = Math.floor(notAfter.getTime() / 1000) - second;
  return {
    expirationSeconds: Math.max(MINIMUM_CLUSTER_SIGNING_SECONDS, seconds - SIGNING_SECONDS),
    latestNotAfter: Math.max(
      notAfter.getTime(),
      (second + MINIMUM_CLUSTER_SIGNING_SECONDS + SIGNING_SECONDS) * 1000,
    ),
  };
}
