import type { CacheEntry } from "./cache-document.ts";
import { changeCache } from "./cache-transaction.ts";
import type { CacheProblem } from "./cache-transaction.ts";
import { isSharedStore } from "./cache-store.ts";
import type { StoreContext } from "./cache-store.ts";
import { findCredentialEntry, pruneCredentialEntries, withCredentialEntry } from "./credential-entry.ts";
import type { CredentialRequest } from "./credential-request.ts";
import type { ClusterCredential, IssuedCredential } from "./credential.ts";
import { timestamp } from "./credential-dates.ts";
import { issueReport, retryTime } from "./decision.ts";
import { readClient } from "./look-up.ts";
import type { ParentProcess } from "./parent-process.ts";
import { overlapFromEnvironment, renewalTimes } from "./renewal-times.ts";
import {
  clockOffsetOf,
  fingerprintOf,
  formatSideFile,
  historyOf,
  readSideFile,
  sideFilePath,
  withClockOffset,
} from "./side-file.ts";
import type { CredentialHistory, HandOut, SideFile } from "./side-file.ts";
import { writeProtectedFile } from "./write-protected-file.ts";

/** From here on a difference of clocks is worth a line under PINNIPED_DEBUG (contract cli.md 13.3 rule 8), milliseconds. */
const NOTEWORTHY_OFFSET = 30_000;

/** How problems of the credential cache are told: an unsafe file always (S23), the rest under PINNIPED_DEBUG (rule 11). */
export function cacheReporter(context: StoreContext): (problem: CacheProblem) => void {
  return ({ kind, text }) => {
    if (kind === "refused") {
      context.log.error("the credential cache is not used", { reason: text });
    } else {
      context.log.debug("error during credential cache operation", { error: text });
    }
  };
}

/**
 * Puts a new credential into the cache, with what its issue taught. Answers the end to report, milliseconds since the epoch;
 * undefined: it has none, and such a credential is not kept (contract cli.md 7). Failing to store is reported and changes nothing else.
 */
export async function storeIssued(
  request: CredentialRequest,
  issued: IssuedCredential,
  bypassedAt: number | undefined,
): Promise<number | undefined> {
  const { context, key } = request;
  const { credential, endpoint = request.endpoint } = issued;
  const client = await readClient(request);
  const learn = (side: SideFile): SideFile =>
    issued.clockOffset === undefined || endpoint === undefined
      ? side
      : withClockOffset(side, endpoint, issued.clockOffset);
  if (issued.clockOffset !== undefined && Math.abs(issued.clockOffset) > NOTEWORTHY_OFFSET) {
    const seconds = Math.round(issued.clockOffset / 1000);
    context.log.debug("the clocks differ", {
      endpoint,
      serverIsAheadBySeconds: seconds,
    });
  }
  let report: number | undefined;
  const compute = (side: SideFile): number | undefined => {
    const now = context.clock.now();
    const times = renewalTimes({
      credential,
      fromConcierge: request.fromConcierge,
      issuedAt: issued.issuedAt,
      clockOffset: clockOffsetOf(side, endpoint) ?? issued.clockOffset,
      storedAt: now,
      overlap: overlapFromEnvironment(context.environment),
    });
    return issueReport(times, now);
  };
  if (credential.expirationTimestamp === undefined) {
    return compute(learn(readSideFile(request.file, context)));
  }
  const stored = await changeBoth(request, (entries, side) => {
    const now = context.clock.now();
    const learnt = learn(side);
    report = compute(learnt);
    const history: CredentialHistory = {
      fingerprint: fingerprintOf(credential),
      storedAt: now,
      issuedAt: issued.issuedAt,
      endpoint,
      failures: 0,
      retryAt: 0,
      handedTo: client === undefined || report === undefined ? [] : [handOutTo(client, now, report)],
    };
    return {
      entries: withCredentialEntry(pruneCredentialEntries(entries, key, now), key, credential, now),
      side: withHistory(learnt, key, history, bypassedAt),
    };
  });
  return stored || report !== undefined ? report : compute(learn(readSideFile(request.file, context)));
}

/** Remembers that a client was given a cached credential: rule 7 of contract cli.md 13.3. */
export async function recordHandOut(
  request: CredentialRequest,
  credential: ClusterCredential,
  client: ParentProcess,
  until: number,
): Promise<void> {
  await changeHistory(request, credential, (history) => ({
    ...history,
    handedTo: [
      handOutTo(client, request.context.clock.now(), until),
      ...history.handedTo.filter(
        ({ processId, start }) => processId !== client.processId || start !== client.start,
      ),
    ],
  }));
}

/** Counts a failed early renewal; answers when the next one is due (rule 5), milliseconds since the epoch. */
export async function recordFailure(
  request: CredentialRequest,
  credential: ClusterCredential,
  bypassedAt: number | undefined,
): Promise<number> {
  const now = request.context.clock.now();
  let retryAt = retryTime(now, 1);
  await changeHistory(
    request,
    credential,
    (history) => {
      const failures = history.failures + 1;
      retryAt = retryTime(now, failures);
      return { ...history, failures, retryAt };
    },
    bypassedAt,
  );
  return retryAt;
}

async function changeHistory(
  request: CredentialRequest,
  credential: ClusterCredential,
  change: (history: CredentialHistory) => CredentialHistory,
  bypassedAt?: number,
): Promise<void> {
  const { key, context } = request;
  await changeBoth(request, (entries, side) => {
    const created = timestamp(findCredentialEntry(entries, key)?.creationTimestamp);
    const history = historyOf(side, key, credential) ?? {
      fingerprint: fingerprintOf(credential),
      storedAt: created ?? context.clock.now(),
      failures: 0,
      retryAt: 0,
      handedTo: [],
    };
    return { entries, side: withHistory(side, key, change(history), bypassedAt) };
  });
}

/** Changes the cache and its side file under one lock. */
async function changeBoth(
  request: CredentialRequest,
  change: (
    entries: readonly CacheEntry[],
    side: SideFile,
  ) => { readonly entries: readonly CacheEntry[]; readonly side: SideFile },
): Promise<boolean> {
  const { context, file } = request;
  const report = cacheReporter(context);
  return changeCache({
    context,
    file,
    kind: "CredentialCache",
    noun: "cache",
    report,
    change: async (entries) => {
      const after = change(entries, readSideFile(file, context));
      if (!isSharedStore(context.environment)) {
        return after.entries;
      }
      try {
        const text = formatSideFile(after.side, context.clock.now());
        await writeProtectedFile(sideFilePath(file), text, context);
      } catch (error) {
        // Losing it is harmless.
        report({ kind: "failed", text: `could not write ${sideFilePath(file)}: ${String(error)}` });
      }
      return after.entries;
    },
  });
}

function withHistory(
  side: SideFile,
  key: string,
  history: CredentialHistory,
  bypassedAt: number | undefined,
): SideFile {
  return {
    ...side,
    histories: { ...side.histories, [key]: history },
    bypassedAt: bypassedAt === undefined ? side.bypassedAt : { ...side.bypassedAt, [key]: bypassedAt },
  };
}

function handOutTo(client: ParentProcess, at: number, until: number): HandOut {
  return { processId: client.processId, start: client.start, at, until };
}
