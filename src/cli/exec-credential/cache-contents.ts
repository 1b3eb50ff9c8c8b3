import { type CacheEntry, type CacheKind, parseCacheDocument } from "../cache/cache-document.ts";
import { openCacheStore } from "../cache/cache-store.ts";
import type { CommandContext } from "../context.ts";

/** What a cache holds, without changing it. */
export interface CacheContents {
  readonly entries: readonly CacheEntry[];
  /** Why it cannot be used, in one line with the remedy. */
  readonly problem?: string;
}

/** Reads a cache file, or the store in its place. Throws `CommandError` for a store that does not exist. */
export async function readCacheContents(
  context: CommandContext,
  file: string,
  kind: CacheKind,
): Promise<CacheContents> {
  if (file === "") {
    return { entries: [] };
  }
  const found = await (await openCacheStore(context, file)).read();
  if (found.state === "refused") {
    return { entries: [], problem: found.reason };
  }
  if (found.state !== "read") {
    return { entries: [] };
  }
  const document = await parseCacheDocument(found.text, kind);
  return document.state === "usable"
    ? { entries: document.entries }
    : { entries: [], problem: `${file} ${document.reason}; the next login moves it aside` };
}
