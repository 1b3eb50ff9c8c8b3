import type { ClusterCredential } from "./credential.ts";
import type { ParentProcess } from "./parent-process.ts";
import { MINIMUM_REPORT, renewalTimes, roundUpToSecond } from "./renewal-times.ts";
import type { RenewalTimes } from "./renewal-times.ts";
import { clockOffsetOf, historyOf } from "./side-file.ts";
import type { CredentialHistory, SideFile } from "./side-file.ts";

/** What is to be done for who asks now (contract cli.md 13.3 rules 1, 2, 5 and 7). Times are milliseconds since the epoch. */
export type Decision =
  /** There is none, or it may not be used any more. */
  | { readonly state: "dead" }
  /** Hand it out until `report`. `record`: remember whom it was given to. */
  | {
      readonly state: "fresh";
      readonly report: number;
      readonly record: boolean;
      readonly times: RenewalTimes;
    }
  /** Renew, without a person; it still works. `report`: what to say if that fails or somebody else is at it. */
  | {
      readonly state: "renewable" | "suspected";
      readonly report: number;
      readonly times: RenewalTimes;
    }
  /** A renewal failed just now and its next attempt is not due: hand out the old one until `report`. */
  | { readonly state: "stale"; readonly report: number; readonly times: RenewalTimes };

export interface DecisionInput {
  readonly key: string;
  /** As `credentials.yaml` holds it. */
  readonly credential: ClusterCredential | undefined;
  /** Its `creationTimestamp`, milliseconds since the epoch. */
  readonly createdAt: number;
  readonly side: SideFile;
  readonly fromConcierge: boolean;
  readonly endpoint: string | undefined;
  readonly overlap: number | undefined;
  readonly now: number;
  /** When this process was asked: it may have waited since. */
  readonly askedAt: number;
  /** The client that asks; undefined: a person, or not known. */
  readonly parent: ParentProcess | undefined;
}

/** The existing CLI drops what is older than an hour (contract cli.md 7); here it is renewed, and used on while that fails. */
const MAXIMUM_AGE = 3_600_000;
/** Rule 5: how long an old credential is handed out after the first, second and further failures, milliseconds. */
const STALE_PERIODS = [5_000, 10_000, 20_000] as const;
/** Rule 7: at most once per key in this time, milliseconds. */
export const BYPASS_INTERVAL = 10_000;

export function decide(input: DecisionInput): Decision {
  const { credential, side, key, now } = input;
  if (credential === undefined) {
    return { state: "dead" };
  }
  const history = historyOf(side, key, credential);
  const times = timesOf(input, credential, history);
  if (times === undefined || isOver(times, now)) {
    return { state: "dead" };
  }
  const failedJustNow = history !== undefined && history.failures > 0 && now < history.retryAt;
  if (failedJustNow) {
    return { state: "stale", report: staleReport(times, now, history.retryAt), times };
  }
  const report = roundUpToSecond(times.renewAt);
  const renewable: Decision = {
    state: "renewable",
    report: staleReport(times, now, now + STALE_PERIODS[0]),
    times,
  };
  // Where renewing it at that age failed, it serves to its end: nothing is gained by failing at each request.
  const aged = now - input.createdAt > MAXIMUM_AGE && (history?.failures ?? 0) === 0;
  if (now >= times.renewAt || report < now + MINIMUM_REPORT || aged) {
    return renewable;
  }
  const asked = judgeParent(input, history);
  const bypassed = side.bypassedAt[key];
  const mayBypass = bypassed === undefined || Math.abs(now - bypassed) >= BYPASS_INTERVAL;
  return asked === "again" && mayBypass
    ? { ...renewable, state: "suspected" }
    : { state: "fresh", report, record: asked === "unknown", times };
}

/** Whether nobody can be told to use it any more (rule 2). */
export function isOver(times: RenewalTimes, now: number): boolean {
  return roundUpToSecond(times.hardExpiry) < now + MINIMUM_REPORT;
}

/** What to report for a credential whose renewal failed: the next attempt, but never past its end (rule 5). */
export function staleReport(times: RenewalTimes, now: number, retryAt: number): number {
  const wanted = Math.max(retryAt, now + MINIMUM_REPORT);
  return roundUpToSecond(Math.min(times.hardExpiry, wanted));
}

/** When to try again after this many failures in a row. */
export function retryTime(now: number, failures: number): number {
  return now + (STALE_PERIODS[Math.min(failures, STALE_PERIODS.length) - 1] ?? STALE_PERIODS[0]);
}

/** What to report for a credential that was issued just now. */
export function issueReport(times: RenewalTimes | undefined, now: number): number | undefined {
  // One that cannot be used for as long as that would be asked for again at each request.
  return times === undefined
    ? undefined
    : Math.max(roundUpToSecond(times.renewAt), roundUpToSecond(now + MINIMUM_REPORT));
}

function timesOf(
  input: DecisionInput,
  credential: ClusterCredential,
  history: CredentialHistory | undefined,
): RenewalTimes | undefined {
  return renewalTimes({
    credential,
    fromConcierge: input.fromConcierge,
    issuedAt: history?.issuedAt,
    clockOffset: clockOffsetOf(input.side, history?.endpoint ?? input.endpoint),
    storedAt: history?.storedAt ?? input.createdAt,
    overlap: input.overlap,
  });
}

/**
 * Whether a fresh credential goes to a client for the first time, or `again`, which only follows a 401 (rule 7); `unknown` asks for
 * a record, so that the next time tells.
 *
 * A hit writes nothing (clarification 29), so most clients are in no record: a kubectl, or a k9s that started while the cache was
 * fresh. What such a client leaves behind is in its own process: it has started the plugin before, so a child of that size has ended.
 * (That it has spoken to the cluster does not show: the kube-apiserver closes the connection of who it answers with a 401.) A client
 * that asks for the first time has no such child; one that has for other reasons, because it works on other clusters too or is a
 * shell that replaced itself by kubectl, costs one renewal.
 *
 * Clients that are older than the credential come back for it once, when their old one has reached its reported end: that hand-over
 * is not a mere hit, but the last part of a renewal, and is recorded, once per client and credential. So is every hand-out that
 * follows an issue. Where the platform does not tell about children, only recorded clients are recognised.
 */
function judgeParent(
  input: DecisionInput,
  history: CredentialHistory | undefined,
): "first" | "again" | "unknown" {
  const { parent, now } = input;
  if (parent === undefined) {
    return "first";
  }
  const recorded = history?.handedTo.find(
    ({ processId, start }) => processId === parent.processId && start === parent.start,
  );
  if (recorded !== undefined && now < recorded.until) {
    // What was asked before that hand-out ran beside it.
    return recorded.at < input.askedAt ? "again" : "first";
  }
  const storedAt = history?.storedAt ?? input.createdAt;
  if (parent.ranPlugin !== true) {
    return "first";
  }
  return parent.startedAt <= storedAt || input.askedAt <= storedAt ? "unknown" : "again";
}
