import { FileLockError } from "./file-lock.ts";
import type { FileLocking } from "./file-lock.ts";

/** The part of kernel32.dll that locks files. Handles are addresses; -1 is none. */
export interface Kernel32 {
  /** Opens or creates, shared with everybody for reading, writing and deleting; a handle or `INVALID_HANDLE`. */
  createFile(path: string): bigint;
  /** Locks one byte at offset 0, exclusively and without waiting. */
  lockFirstByte(handle: bigint): boolean;
  unlockFirstByte(handle: bigint): void;
  closeHandle(handle: bigint): void;
  lastError(): number;
}

export const INVALID_HANDLE = 0xffff_ffff_ffff_ffffn;

const GENERIC_READ_AND_WRITE = 0xc000_0000;
const SHARE_ALL = 7;
const OPEN_ALWAYS = 4;
const ATTRIBUTE_NORMAL = 0x80;
const EXCLUSIVE_WITHOUT_WAITING = 3;
const ERROR_LOCK_VIOLATION = 33;
const ERROR_IO_PENDING = 997;
/** OVERLAPPED of a 64-bit process; all zero means offset 0. */
const OVERLAPPED_BYTES = 32;

export function bindKernel32(ffi: typeof import("node:ffi")): Kernel32 {
  const library = new ffi.DynamicLibrary("kernel32.dll");
  // A HANDLE is as wide as an address; as a number it may be compared with the invalid one.
  const functions = library.getFunctions({
    CreateFileW: { arguments: ["buffer", "u32", "u32", "pointer", "u32", "u32", "pointer"], return: "u64" },
    LockFileEx: { arguments: ["u64", "u32", "u32", "u32", "u32", "buffer"], return: "i32" },
    UnlockFileEx: { arguments: ["u64", "u32", "u32", "u32", "buffer"], return: "i32" },
    CloseHandle: { arguments: ["u64"], return: "i32" },
    GetLastError: { arguments: [], return: "u32" },
  });
  return {
    createFile: (path) =>
      functions.CreateFileW(
        Buffer.from(`${path}\0`, "utf16le"),
        GENERIC_READ_AND_WRITE,
        SHARE_ALL,
        0n,
        OPEN_ALWAYS,
        ATTRIBUTE_NORMAL,
        0n,
      ),
    lockFirstByte: (handle) =>
      functions.LockFileEx(handle, EXCLUSIVE_WITHOUT_WAITING, 0, 1, 0, Buffer.alloc(OVERLAPPED_BYTES)) !== 0,
    unlockFirstByte: (handle) => {
      functions.UnlockFileEx(handle, 0, 1, 0, Buffer.alloc(OVERLAPPED_BYTES));
    },
    closeHandle: (handle) => {
      functions.CloseHandle(handle);
    },
    lastError: () => functions.GetLastError(),
  };
}

/** LockFileEx on one byte at offset 0 of the file, as the existing CLI does it on Windows (contract cli.md 6). */
export function createWindowsLocking(kernel32: Kernel32): FileLocking {
  return {
    tryLock: (path) => {
      const handle = kernel32.createFile(path);
      if (handle === INVALID_HANDLE) {
        throw new FileLockError("file-lock.failed", `open ${path}: Windows error ${kernel32.lastError()}`);
      }
      if (kernel32.lockFirstByte(handle)) {
        let held = true;
        return {
          release: () => {
            if (held) {
              held = false;
              kernel32.unlockFirstByte(handle);
              kernel32.closeHandle(handle);
            }
          },
        };
      }
      const error = kernel32.lastError();
      kernel32.closeHandle(handle);
      if (error === ERROR_LOCK_VIOLATION || error === ERROR_IO_PENDING) {
        return undefined;
      }
      throw new FileLockError("file-lock.failed", `lock ${path}: Windows error ${error}`);
    },
  };
}
