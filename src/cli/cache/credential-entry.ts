import { formatSeconds } from "../../rfc3339.ts";
import { isRecord } from "./cache-document.ts";
import type { CacheEntry } from "./cache-document.ts";
import type { ClusterCredential } from "./credential.ts";
import { timestamp } from "./credential-dates.ts";

/** The credential of an entry of `credentials.yaml` (contract cli.md 7); fields of another type than ours count as absent. */
export function credentialOf(entry: CacheEntry | undefined): ClusterCredential | undefined {
  const held = entry?.["credential"];
  if (!isRecord(held)) {
    return undefined;
  }
  const { expirationTimestamp, token, clientCertificateData, clientKeyData } = held;
  return {
    ...textField("expirationTimestamp", expirationTimestamp),
    ...textField("token", token),
    ...textField("clientCertificateData", clientCertificateData),
    ...textField("clientKeyData", clientKeyData),
  };
}

function textField(name: keyof ClusterCredential, value: unknown): ClusterCredential {
  return typeof value === "string" && value !== "" ? { [name]: value } : {};
}

export function findCredentialEntry(entries: readonly CacheEntry[], key: string): CacheEntry | undefined {
  return entries.find((entry) => entry.key === key);
}

/** The entries with this one in place of its predecessor; it is new, whatever was there (contract cli.md 13.3 rule 10). */
export function withCredentialEntry(
  entries: readonly CacheEntry[],
  key: string,
  credential: ClusterCredential,
  now: number,
): readonly CacheEntry[] {
  const time = formatSeconds(now);
  const entry: CacheEntry = {
    creationTimestamp: time,
    credential: {
      ...textField("clientCertificateData", credential.clientCertificateData),
      ...textField("clientKeyData", credential.clientKeyData),
      ...textField("expirationTimestamp", credential.expirationTimestamp),
      ...textField("token", credential.token),
    },
    key,
    lastUsedTimestamp: time,
  };
  return [...entries.filter((other) => other.key !== key), entry];
}

/** How far this machine's clock may be wrong before its neighbours' credentials are dropped too early, milliseconds. */
const CLOCK_TOLERANCE = 15 * 60_000;

/**
 * The entries that can still be of use. The contract's rules are those of the existing CLI, which applies them whenever it touches
 * the file; here an entry is only dropped when it certainly has ended: by the local clock it may look ended while the cluster's
 * clock is behind, and what is older than an hour still serves while renewing it fails.
 */
export function pruneCredentialEntries(
  entries: readonly CacheEntry[],
  key: string,
  now: number,
): readonly CacheEntry[] {
  return entries.filter((entry) => {
    const end = timestamp(credentialOf(entry)?.expirationTimestamp);
    return entry.key === key || (end !== undefined && end > now - CLOCK_TOLERANCE);
  });
}
