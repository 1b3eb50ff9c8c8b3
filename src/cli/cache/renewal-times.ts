import { parseDuration } from "../command-line/duration.ts";
import { CommandError } from "../command-error.ts";
import type { ClusterCredential } from "./credential.ts";
import { credentialDates, timestamp } from "./credential-dates.ts";

/** G of contract cli.md 13.3: a credential is not used in its last seconds, milliseconds. */
const GUARD = 10_000;
const MINIMUM_OVERLAP = 15_000;
const MAXIMUM_OVERLAP = 120_000;
const OVERLAP_SHARE = 0.3;
/** `Date` counts whole seconds: below this a difference of clocks cannot be told from none. */
const CONCIERGE_OFFSET_RESOLUTION = 2_000;
/** Equal tokens must be reported with equal ends (contract cli.md 12), so small differences count as none without a Concierge. */
const TOKEN_OFFSET_RESOLUTION = 60_000;
/** How far the Concierge of the contract dates a certificate back (contract cli.md 8). */
const BACKDATE = 5 * 60_000;

/** A reported end lies at least this far ahead: clients start the plugin again for each request after it (contract cli.md 13.3 rule 2). */
export const MINIMUM_REPORT = 2_000;

export interface RenewalTimesInput {
  readonly credential: ClusterCredential;
  /** Else it is an ID token. */
  readonly fromConcierge: boolean;
  /** T0 where it is known: the issuer's `Date`, milliseconds since the epoch. */
  readonly issuedAt?: number | undefined;
  /** By how much the issuer's clock is ahead, milliseconds: the greatest of its last five answers. */
  readonly clockOffset?: number | undefined;
  /** When it was stored, by the local clock: stands in for T0 where nothing else tells. */
  readonly storedAt?: number | undefined;
  /** W in place of the contract's formula, milliseconds. */
  readonly overlap?: number | undefined;
}

/** Milliseconds since the epoch, on the local clock, not rounded (contract cli.md 13.3). */
export interface RenewalTimes {
  /** From here on it is not used any more. */
  readonly hardExpiry: number;
  /** From here on it is renewed; what a client is told as its end. */
  readonly renewAt: number;
  /** The difference of clocks that was reckoned with, milliseconds. */
  readonly clockOffset: number;
}

/** Reckons the table of contract cli.md 13.3; undefined: the credential has no known end. */
export function renewalTimes(input: RenewalTimesInput): RenewalTimes | undefined {
  const { credential, fromConcierge } = input;
  const dates = credentialDates(credential);
  const reported = timestamp(credential.expirationTimestamp);
  const until = dates?.until ?? reported;
  if (until === undefined) {
    return undefined;
  }
  const clockOffset = effectiveOffset(input.clockOffset, fromConcierge);
  const issued = issueTime(input, dates?.from, until, clockOffset);
  const lifetime = until - issued;
  const overlap = input.overlap ?? clamp(OVERLAP_SHARE * lifetime, MINIMUM_OVERLAP, MAXIMUM_OVERLAP);
  const hardExpiry = until - clockOffset - GUARD;
  const renewAt = Math.max(hardExpiry - overlap, issued - clockOffset + lifetime / 2);
  return {
    hardExpiry,
    renewAt: Math.min((reported ?? until) - clockOffset, renewAt),
    clockOffset,
  };
}

/** The difference of clocks that counts (contract cli.md 13.3, 12): what `Date` cannot resolve is none. */
function effectiveOffset(offset: number | undefined, fromConcierge: boolean): number {
  const resolution = fromConcierge ? CONCIERGE_OFFSET_RESOLUTION : TOKEN_OFFSET_RESOLUTION;
  return offset === undefined || Math.abs(offset) <= resolution ? 0 : offset;
}

/** T0, on the issuer's clock. A token's own `iat` comes first: its reported end must depend on nothing else (contract cli.md 12). */
function issueTime(
  input: RenewalTimesInput,
  from: number | undefined,
  until: number,
  clockOffset: number,
): number {
  const isCertificate = input.credential.clientCertificateData !== undefined;
  const candidates = isCertificate
    ? // Administrators can change the backdating, so the sum is only believed where it makes sense.
      [input.issuedAt, from === undefined ? undefined : from + BACKDATE, from]
    : [from, input.fromConcierge ? input.issuedAt : undefined];
  const stored =
    input.fromConcierge && input.storedAt !== undefined ? input.storedAt + clockOffset : undefined;
  return [...candidates, stored].find((time) => time !== undefined && time < until) ?? until;
}

function clamp(value: number, minimum: number, maximum: number): number {
  return Math.min(Math.max(value, minimum), maximum);
}

/** Up to a whole second, as ends are reported (contract cli.md 13.3 rule 2). */
export function roundUpToSecond(milliseconds: number): number {
  return Math.ceil(milliseconds / 1000) * 1000;
}

/** `LANYARD_RENEW_OVERLAP` (Go's notation, such as `45s`) in milliseconds; undefined where it is not set. Throws `CommandError` (`cli.renew-overlap`). */
export function overlapFromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
): number | undefined {
  const text = environment["LANYARD_RENEW_OVERLAP"];
  if (text === undefined || text === "") {
    return undefined;
  }
  let overlap = Number.NaN;
  try {
    overlap = parseDuration(text);
  } catch {
    // Answered below, like a negative one.
  }
  if (Number.isNaN(overlap) || overlap < 0) {
    throw new CommandError(
      "cli.renew-overlap",
      'LANYARD_RENEW_OVERLAP must be a duration such as "45s" or "2m", not negative',
    );
  }
  return overlap;
}
