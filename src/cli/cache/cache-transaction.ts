import { basename, dirname, join } from "node:path";
import { messageOf } from "../../errors.ts";
import { lockFile, loadFileLocking } from "../file-lock/file-lock.ts";
import type { FileLock } from "../file-lock/file-lock.ts";
import { formatCacheDocument, parseCacheDocument } from "./cache-document.ts";
import type { CacheEntry, CacheKind } from "./cache-document.ts";
import { openCacheStore } from "./cache-store.ts";
import type { CacheStore, StoreContext } from "./cache-store.ts";
import { CacheWriteError, createFolder } from "./write-protected-file.ts";

/** How long one access to a file may wait for another one (contract cli.md 6), milliseconds. */
const LOCK_LIMIT = 10_000;

/** What went wrong, in the words of contract cli.md 6 and 7; `refused`: the file or its folder is not safe (S23). */
export interface CacheProblem {
  readonly kind: "refused" | "failed";
  readonly text: string;
}

export interface CacheTransaction {
  readonly context: StoreContext;
  readonly file: string;
  readonly kind: CacheKind;
  readonly report: (problem: CacheProblem) => void;
  /** `session` or `cache`: which file the texts of the contract speak of. */
  readonly noun: "session" | "cache";
  /** Answers the entries to keep; the same array: nothing has changed. Runs while the file's lock is held. */
  readonly change: (entries: readonly CacheEntry[]) => Promise<readonly CacheEntry[]> | readonly CacheEntry[];
}

/**
 * Takes the file's lock, which the existing CLI takes too, reads, changes, writes, lets go (contract cli.md 6). Never throws: a
 * failure is reported, acts as if nothing was there, and keeps what was; the answer tells whether all of it was done.
 */
export async function changeCache(transaction: CacheTransaction): Promise<boolean> {
  const { context, file, noun, report } = transaction;
  const store = await openCacheStore(context, file);
  let lock: FileLock | undefined;
  if (store.shared) {
    try {
      createFolder(dirname(file), context);
    } catch (error) {
      const refused = error instanceof CacheWriteError && error.code === "cache.unsafe";
      const what = noun === "session" ? "session cache" : "credential cache";
      report({
        kind: refused ? "refused" : "failed",
        text: refused ? messageOf(error) : `could not create ${what} directory: ${messageOf(error)}`,
      });
      return false;
    }
    try {
      const locking = await loadFileLocking(context.platform);
      lock = await lockFile({ path: `${file}.lock`, limit: LOCK_LIMIT, clock: context.clock, locking });
    } catch (error) {
      report({ kind: "failed", text: `could not lock ${noun} file: ${messageOf(error)}` });
      return false;
    }
  }
  try {
    return await readAndWrite(transaction, store);
  } finally {
    try {
      lock?.release();
    } catch (error) {
      report({ kind: "failed", text: `could not unlock ${noun} file: ${messageOf(error)}` });
    }
  }
}

async function readAndWrite(transaction: CacheTransaction, store: CacheStore): Promise<boolean> {
  const { file, kind, noun, report, change } = transaction;
  const found = await store.read();
  if (found.state === "refused") {
    report({ kind: "refused", text: found.reason });
    return false;
  }
  const document =
    found.state === "read"
      ? await parseCacheDocument(found.text, kind)
      : ({ state: "usable", entries: [], extra: {} } as const);
  const usable = document.state === "usable";
  const before = usable ? document.entries : [];
  const after = await change(before);
  if (after === before) {
    return true;
  }
  const what = noun === "session" ? "session cache" : "cache";
  try {
    if (!usable) {
      const mark = document.state === "foreign" ? "other-version" : "corrupt";
      const name = await store.moveAside(mark);
      report({
        kind: "failed",
        text: `failed to read cache, resetting: ${basename(file)} ${document.reason}; it was moved to ${name}`,
      });
    }
    await store.write(formatCacheDocument(kind, after, usable ? document.extra : {}));
    return true;
  } catch (error) {
    const refused = error instanceof CacheWriteError && error.code === "cache.unsafe";
    report({
      kind: refused ? "refused" : "failed",
      text: refused ? messageOf(error) : `could not write ${what}: ${messageOf(error)}`,
    });
    return false;
  }
}

/** Lock files of our own, one for each credential and session (contract cli.md 13.3 rule 6); `name` is a hexadecimal digest. */
export function flightLockPath(file: string, name: string): string {
  return join(dirname(file), "lanyard-locks", `${name}.lock`);
}
