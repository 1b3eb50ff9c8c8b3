import { parseCacheDocument } from "./cache-document.ts";
import { openCacheStore } from "./cache-store.ts";
import type { CredentialRequest } from "./credential-request.ts";
import { clockOffsetOf, readSideFile } from "./side-file.ts";

/** What `doctor` says about a credential cache; nothing secret. */
export interface CacheReport {
  /** Why it cannot be used, with the remedy. */
  readonly problem?: string;
  readonly clockOffsets: readonly {
    readonly endpoint: string;
    /** By how much the server's clock is ahead; negative: behind. */
    readonly seconds: number;
  }[];
}

/** Reads a credential cache without changing anything. */
export async function cacheReport({
  context,
  file,
}: Pick<CredentialRequest, "context" | "file">): Promise<CacheReport> {
  const store = await openCacheStore(context, file);
  const found = await store.read();
  let problem: string | undefined;
  if (found.state === "refused") {
    problem = found.reason;
  } else if (found.state === "read") {
    const document = await parseCacheDocument(found.text, "CredentialCache");
    problem =
      document.state === "usable" ? undefined : `${file} ${document.reason}; the next login moves it aside`;
  }
  const side = readSideFile(file, context);
  const clockOffsets = Object.keys(side.clockOffsets).map((endpoint) => ({
    endpoint,
    seconds: Math.round((clockOffsetOf(side, endpoint) ?? 0) / 1000),
  }));
  return { ...(problem !== undefined && { problem }), clockOffsets };
}
