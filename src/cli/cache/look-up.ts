import { parseCacheDocument } from "./cache-document.ts";
import type { CacheEntry } from "./cache-document.ts";
import { isSharedStore, openCacheStore } from "./cache-store.ts";
import { credentialOf, findCredentialEntry } from "./credential-entry.ts";
import type { CredentialRequest } from "./credential-request.ts";
import type { ClusterCredential } from "./credential.ts";
import { timestamp } from "./credential-dates.ts";
import { decide } from "./decision.ts";
import type { Decision } from "./decision.ts";
import { readLinuxProcess, readProcessByPs } from "./parent-process.ts";
import type { ParentProcess } from "./parent-process.ts";
import { overlapFromEnvironment } from "./renewal-times.ts";
import { EMPTY_SIDE_FILE, readSideFile } from "./side-file.ts";
import type { SideFile } from "./side-file.ts";

/** What the cache holds for a request, and what follows from it now. */
export interface LookUp {
  readonly decision: Decision;
  readonly credential: ClusterCredential | undefined;
  /** Why the cache cannot be used, one line with its remedy. */
  readonly problem?: string;
}

/** Reads the cache: no lock, nothing written, nothing logged (clarification 29). `askedAt`: when this process was asked, if not now. */
export async function lookUp(
  request: CredentialRequest,
  askedAt = request.context.clock.now(),
): Promise<LookUp> {
  const { context, file, key } = request;
  const store = await openCacheStore(context, file);
  const found = await store.read();
  if (found.state === "refused") {
    return { ...MISS, problem: found.reason };
  }
  if (found.state === "absent") {
    return MISS;
  }
  const document = await parseCacheDocument(found.text, "CredentialCache");
  if (document.state !== "usable") {
    return { ...MISS, problem: `${file} ${document.reason}; the next login moves it aside` };
  }
  const entry = findCredentialEntry(document.entries, key);
  const credential = credentialOf(entry);
  if (entry === undefined || credential === undefined || credential.expirationTimestamp === undefined) {
    return MISS;
  }
  const side = readSide(request);
  const decision = await decideFor(request, entry, credential, side, askedAt);
  return { decision, credential };
}

const MISS: LookUp = { decision: { state: "dead" }, credential: undefined };

async function decideFor(
  request: CredentialRequest,
  entry: CacheEntry,
  credential: ClusterCredential,
  side: SideFile,
  askedAt: number,
): Promise<Decision> {
  const { context, key, fromConcierge, endpoint } = request;
  return decide({
    key,
    credential,
    createdAt: timestamp(entry.creationTimestamp) ?? 0,
    side,
    fromConcierge,
    endpoint,
    overlap: overlapFromEnvironment(context.environment),
    parent: await findParent(request, side),
    askedAt,
    now: context.clock.now(),
  });
}

function readSide({ context, file }: CredentialRequest): SideFile {
  return isSharedStore(context.environment) ? readSideFile(file, context) : EMPTY_SIDE_FILE;
}

/** The client that asks (rule 7). Where finding it takes a process of its own, only if its id is on record already. */
async function findParent(request: CredentialRequest, side: SideFile): Promise<ParentProcess | undefined> {
  const { context, key, readParent } = request;
  const recorded = side.histories[key]?.handedTo.some(
    ({ processId }) => processId === context.parentProcessId,
  );
  return readParent !== undefined || context.platform === "linux" || recorded === true
    ? readClient(request)
    : undefined;
}

/** The client that asks, whatever it costs to find it; undefined: a person, or not known. */
export async function readClient(request: CredentialRequest): Promise<ParentProcess | undefined> {
  const { context, readParent } = request;
  const processId = context.parentProcessId;
  if (!request.execInfoGiven || processId === undefined || processId <= 1) {
    return undefined;
  }
  const now = context.clock.now();
  if (readParent !== undefined) {
    return readParent(processId, now);
  }
  if (context.platform === "linux") {
    return readLinuxProcess(processId, now);
  }
  return context.platform === "win32" ? undefined : readProcessByPs(processId);
}
