import { closeSync, constants, openSync } from "node:fs";
import { messageOf } from "../../errors.ts";
import { FileLockError } from "./file-lock.ts";
import type { FileLocking } from "./file-lock.ts";

/** flock(2): 0, or the number of what went wrong. */
export type Flock = (descriptor: number, operation: number) => number;

const LOCK_EXCLUSIVE = 2;
const LOCK_WITHOUT_WAITING = 4;
const INTERRUPTED = 4;
/** EWOULDBLOCK, the only number of these that platforms disagree on. */
const WOULD_BLOCK: Readonly<Partial<Record<NodeJS.Platform, number>>> = {
  linux: 11,
  android: 11,
  darwin: 35,
  freebsd: 35,
  openbsd: 35,
  netbsd: 35,
};
/** What returns the address of errno: glibc and musl, macOS and FreeBSD, the other BSDs. */
const ERRNO_ADDRESS: Readonly<Partial<Record<NodeJS.Platform, string>>> = {
  linux: "__errno_location",
  android: "__errno",
  darwin: "__error",
  freebsd: "__error",
  openbsd: "__errno",
  netbsd: "__errno",
};

/** flock(2) of the C library that this process has loaded anyway; so glibc, musl and libSystem need no names of files. Throws where there is none. */
export function bindFlock(ffi: typeof import("node:ffi"), platform: NodeJS.Platform): Flock {
  const errnoName = ERRNO_ADDRESS[platform];
  if (errnoName === undefined) {
    throw new TypeError(`no locks are known for ${platform}`);
  }
  const library = new ffi.DynamicLibrary(null);
  const flock = library.getFunction("flock", { arguments: ["i32", "i32"], return: "i32" });
  // One thread calls, so the address stays; asking for it after the call could itself change what is there.
  const errno = library.getFunction(errnoName, { arguments: [], return: "pointer" })();
  const wouldBlock = WOULD_BLOCK[platform];
  return (descriptor, operation) => {
    if (flock(descriptor, operation) === 0) {
      return 0;
    }
    const number = ffi.getInt32(errno, 0);
    // Callers see Linux's number for "somebody else holds it".
    return number === wouldBlock ? WOULD_BLOCK_NUMBER : number;
  };
}

/** What a `Flock` answers when somebody else holds the lock. */
export const WOULD_BLOCK_NUMBER = 11;

const NAMES: Readonly<Record<number, string>> = {
  9: "EBADF, not an open file",
  22: "EINVAL, not supported here",
  37: "ENOLCK, the file system has no locks",
  77: "ENOLCK, the file system has no locks",
  95: "EOPNOTSUPP, the file system has no locks",
};

export function createFlockLocking(flock: Flock): FileLocking {
  return {
    tryLock: (path) => {
      let descriptor: number;
      try {
        // Node sets close-on-exec, so a browser that outlives this process does not keep the lock.
        descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
      } catch (error) {
        throw new FileLockError("file-lock.failed", messageOf(error), error);
      }
      let number = flock(descriptor, LOCK_EXCLUSIVE | LOCK_WITHOUT_WAITING);
      while (number === INTERRUPTED) {
        number = flock(descriptor, LOCK_EXCLUSIVE | LOCK_WITHOUT_WAITING);
      }
      if (number === 0) {
        let held = true;
        return {
          release: () => {
            if (held) {
              held = false;
              closeSync(descriptor);
            }
          },
        };
      }
      closeSync(descriptor);
      if (number === WOULD_BLOCK_NUMBER) {
        return undefined;
      }
      throw new FileLockError("file-lock.failed", `flock ${path}: ${NAMES[number] ?? `error ${number}`}`);
    },
  };
}
