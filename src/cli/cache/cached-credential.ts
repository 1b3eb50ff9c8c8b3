import { formatSeconds } from "../../rfc3339.ts";
import type { CredentialRequest } from "./credential-request.ts";
import type { ClusterCredential } from "./credential.ts";
import { lookUp } from "./look-up.ts";
import type { RenewalTimes } from "./renewal-times.ts";

/**
 * The cached credential with the end to report, if there is nothing to be done but to hand it out; undefined leaves everything else
 * to `supplyCredential`. Takes no lock, writes nothing, loads little (clarification 29). Throws `CommandError` for settings that
 * make no sense.
 */
export async function cachedCredential(request: CredentialRequest): Promise<ClusterCredential | undefined> {
  if (request.file === "") {
    return undefined;
  }
  const { decision, credential } = await lookUp(request);
  const answers = (decision.state === "fresh" && !decision.record) || decision.state === "stale";
  if (!answers || credential === undefined) {
    return undefined;
  }
  const { context } = request;
  context.log.debug("using cached cluster credential.", {
    decision: decision.state === "fresh" ? "fresh" : "stale-if-error",
    ...timesForLog(decision.times, context.clock.now()),
  });
  return reported(credential, decision.report);
}

/** A credential as it is printed: the cache decides when a client comes back (contract cli.md 13.3 rule 2). */
export function reported(credential: ClusterCredential, report: number): ClusterCredential {
  return { ...credential, expirationTimestamp: formatSeconds(report) };
}

/** What each decision shows under PINNIPED_DEBUG (rule 11). */
export function timesForLog(
  times: RenewalTimes,
  now: number,
): { readonly secondsLeft: number; readonly clockOffsetSeconds: number } {
  return {
    secondsLeft: Math.round((times.hardExpiry - now) / 1000),
    clockOffsetSeconds: times.clockOffset / 1000,
  };
}
