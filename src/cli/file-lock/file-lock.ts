import type { Clock } from "../../clock.ts";
import { LanyardError, messageOf } from "../../errors.ts";

/**
 * Why there is no lock. Codes: `file-lock.unavailable` (this Node cannot call the operating system's locks), `file-lock.failed` (the
 * file or its file system refuses), `file-lock.timeout` (somebody else held it for too long), `file-lock.aborted`.
 */
export class FileLockError extends LanyardError {
  constructor(
    code: "file-lock.unavailable" | "file-lock.failed" | "file-lock.timeout" | "file-lock.aborted",
    message: string,
    cause?: unknown,
  ) {
    super({ code, message, cause });
    this.name = "FileLockError";
  }
}

/** A lock that this process holds. The operating system drops it when the process ends, however it ends. */
export interface FileLock {
  release(): void;
}

/** The operating system's exclusive locks on whole files, as the existing CLI takes them (contract cli.md 6). */
export interface FileLocking {
  /** Makes the file (0600) if need be; undefined: somebody else holds it. Throws `FileLockError` (`file-lock.failed`). */
  tryLock(path: string): FileLock | undefined;
}

const loaded = new Map<NodeJS.Platform, Promise<FileLocking>>();

/** flock(2), or LockFileEx on Windows. Rejects with `FileLockError` (`file-lock.unavailable`). */
export function loadFileLocking(platform: NodeJS.Platform): Promise<FileLocking> {
  const known = loaded.get(platform);
  if (known !== undefined) {
    return known;
  }
  const loading = load(platform);
  loaded.set(platform, loading);
  return loading;
}

async function load(platform: NodeJS.Platform): Promise<FileLocking> {
  try {
    const [{ loadForeignFunctions }, flock, lockFileEx] = await Promise.all([
      import("./foreign-functions.ts"),
      import("./flock.ts"),
      import("./lock-file-ex.ts"),
    ]);
    const ffi = await loadForeignFunctions();
    return platform === "win32"
      ? lockFileEx.createWindowsLocking(lockFileEx.bindKernel32(ffi))
      : flock.createFlockLocking(flock.bindFlock(ffi, platform));
  } catch (error) {
    throw new FileLockError(
      "file-lock.unavailable",
      `file locks are not available in this Node: ${messageOf(error)}`,
      error,
    );
  }
}

export interface LockFileOptions {
  readonly path: string;
  /** Milliseconds to wait for who holds it; 0: one attempt. */
  readonly limit: number;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
  readonly locking: FileLocking;
  /** Milliseconds between attempts; default 10 (contract cli.md 6). */
  readonly pause?: number;
}

/** Waits for a lock. Throws `FileLockError`. */
export async function lockFile(options: LockFileOptions): Promise<FileLock> {
  const { path, limit, clock, signal, locking, pause = 10 } = options;
  const start = clock.now();
  for (;;) {
    if (signal?.aborted === true) {
      throw new FileLockError("file-lock.aborted", `gave up waiting for ${path}`, signal.reason);
    }
    const lock = locking.tryLock(path);
    if (lock !== undefined) {
      return lock;
    }
    if (clock.now() - start >= limit) {
      throw new FileLockError("file-lock.timeout", `${path} is still locked after ${limit / 1000} s`);
    }
    await clock.sleep(pause, signal);
  }
}
