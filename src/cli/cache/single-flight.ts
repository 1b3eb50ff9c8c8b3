import { dirname } from "node:path";
import { messageOf } from "../../errors.ts";
import { FileLockError, loadFileLocking } from "../file-lock/file-lock.ts";
import type { FileLocking } from "../file-lock/file-lock.ts";
import { isSharedStore } from "./cache-store.ts";
import type { StoreContext } from "./cache-store.ts";
import { createFolder } from "./write-protected-file.ts";

export interface SingleFlight {
  /** Where this process does the work. */
  leave(): void;
}

export interface SingleFlightOptions {
  readonly context: StoreContext;
  readonly path: string;
  /** Milliseconds to wait for who is at it; 0: not at all. */
  readonly limit: number;
  readonly signal: AbortSignal;
  /** Asked while waiting; true ends it, as the other one is done. */
  readonly done?: (() => Promise<boolean>) | undefined;
  /** Why there is no lock; the work is done without one then, as the existing CLI does it. */
  readonly report: (text: string) => void;
}

/** Milliseconds between attempts: short ones first, as an exchange takes a second and a person at a browser minutes. */
const FIRST_PAUSE = 10;
const LONGEST_PAUSE = 100;
/** Milliseconds between two looks at the cache while waiting. */
const LOOK_INTERVAL = 100;

/** Holds one piece of work for this process alone; `busy`: somebody else is at it, or was and has done it. Throws the signal's reason. */
export async function enterSingleFlight(options: SingleFlightOptions): Promise<SingleFlight | "busy"> {
  const { context, path, limit, signal, done, report } = options;
  if (!isSharedStore(context.environment)) {
    return withoutLock;
  }
  let locking: FileLocking;
  try {
    // Nothing is made in a folder that others can write to (S23).
    createFolder(dirname(dirname(path)), context);
    createFolder(dirname(path), context);
    locking = await loadFileLocking(context.platform);
  } catch (error) {
    report(messageOf(error));
    return withoutLock;
  }
  const { clock } = context;
  const start = clock.now();
  let looked = start;
  for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 1.2, LONGEST_PAUSE)) {
    signal.throwIfAborted();
    try {
      const lock = locking.tryLock(path);
      if (lock !== undefined) {
        return { leave: () => lock.release() };
      }
    } catch (error) {
      if (!(error instanceof FileLockError)) {
        throw error;
      }
      report(messageOf(error));
      return withoutLock;
    }
    if (clock.now() - start >= limit) {
      return "busy";
    }
    await clock.sleep(pause, signal);
    if (done !== undefined && clock.now() - looked >= LOOK_INTERVAL) {
      looked = clock.now();
      if (await done()) {
        return "busy";
      }
    }
  }
}

const withoutLock: SingleFlight = { leave: () => undefined };
