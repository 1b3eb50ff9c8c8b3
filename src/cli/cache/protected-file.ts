import type { Stats } from "node:fs";
import { dirname } from "node:path";

/** As `require` gives it: to import it loads its streams and promises, too, which takes longer than a whole look into the cache. */
export const nodeFileSystem = process.getBuiltinModule("node:fs");

/** The calls of `node:fs` that the cache's files need; tests put faults of other platforms in their place. */
export type FileSystem = Pick<
  typeof import("node:fs"),
  | "closeSync"
  | "fstatSync"
  | "fsyncSync"
  | "mkdirSync"
  | "openSync"
  | "readFileSync"
  | "readdirSync"
  | "realpathSync"
  | "renameSync"
  | "statSync"
  | "unlinkSync"
  | "writeFileSync"
>;

/** Where the cache's files live and whose they have to be. */
export interface FileOwner {
  readonly platform: NodeJS.Platform;
  /** Absent: as the operating system's list of users says; Windows has none. */
  readonly userId?: number | undefined;
  readonly fileSystem?: FileSystem;
}

/** What reading such a file came to. `refused`: S23, or not a file at all; the reason is one line with its remedy and no content. */
export type ProtectedText =
  | { readonly state: "absent" }
  | { readonly state: "refused"; readonly reason: string }
  | { readonly state: "read"; readonly text: string };

/** Nobody has that many clusters; a file beyond it is no cache. */
const MAXIMUM_BYTES = 32 * 1024 * 1024;
/** Read, write or run, for group or others. */
const ANYTHING_FOR_OTHERS = 0o077;
const WRITE_FOR_OTHERS = 0o022;

/**
 * Reads a file that holds secrets, if it and its folder are safe (S23). Links are followed: in a folder that only its owner can
 * change, only the owner can have made them, and what they lead to is judged like the file itself. Never throws, never waits.
 */
export function readProtectedFile(path: string, owner: FileOwner): ProtectedText {
  const fileSystem = owner.fileSystem ?? nodeFileSystem;
  const unsafe = unsafeFolder(dirname(path), owner);
  if (unsafe !== undefined) {
    return unsafe === "absent" ? { state: "absent" } : { state: "refused", reason: unsafe };
  }
  let descriptor: number;
  try {
    // Opened first and judged afterwards, so that nobody can put another file in between; a pipe must not hold us up.
    descriptor = fileSystem.openSync(
      path,
      nodeFileSystem.constants.O_RDONLY | (nodeFileSystem.constants.O_NONBLOCK ?? 0),
    );
  } catch (error) {
    return isErrorCode(error, "ENOENT", "ENOTDIR")
      ? { state: "absent" }
      : { state: "refused", reason: `${path} cannot be read (${errorCode(error)})` };
  }
  try {
    const reason = unsafeFile(path, fileSystem.fstatSync(descriptor), owner);
    return reason === undefined
      ? { state: "read", text: fileSystem.readFileSync(descriptor, "utf8") }
      : { state: "refused", reason };
  } catch (error) {
    return { state: "refused", reason: `${path} cannot be read (${errorCode(error)})` };
  } finally {
    fileSystem.closeSync(descriptor);
  }
}

/** Why a file may not be used (S23), or undefined. */
export function unsafeFile(path: string, status: Stats, owner: FileOwner): string | undefined {
  if (!status.isFile()) {
    return `${path} is not a regular file; move it away`;
  }
  if (status.size > MAXIMUM_BYTES) {
    return `${path} is larger than any cache; move it away`;
  }
  if (owner.platform === "win32") {
    return undefined;
  }
  if (status.uid !== currentUser(owner)) {
    return `${path} belongs to another user (uid ${status.uid}); move it away`;
  }
  if ((status.mode & ANYTHING_FOR_OTHERS) !== 0) {
    return `${path} is accessible to others (mode ${octal(status.mode)}); run: chmod 600 ${path}`;
  }
  return undefined;
}

/** Why nothing may be kept in a folder (S23), `absent` if it is not there, or undefined. */
export function unsafeFolder(folder: string, owner: FileOwner): string | undefined {
  const fileSystem = owner.fileSystem ?? nodeFileSystem;
  let status: Stats;
  try {
    status = fileSystem.statSync(folder);
  } catch (error) {
    return isErrorCode(error, "ENOENT", "ENOTDIR")
      ? "absent"
      : `${folder} cannot be read (${errorCode(error)})`;
  }
  if (!status.isDirectory()) {
    return `${folder} is not a folder; move it away`;
  }
  if (owner.platform === "win32") {
    return undefined;
  }
  const user = currentUser(owner);
  // Who owns a folder can write to it; root can anyway.
  if (status.uid !== user && status.uid !== 0) {
    return `${folder} belongs to another user (uid ${status.uid}); use another folder`;
  }
  if ((status.mode & WRITE_FOR_OTHERS) !== 0) {
    return `${folder} can be written to by others (mode ${octal(status.mode)}); run: chmod go-w ${folder}`;
  }
  return undefined;
}

function currentUser(owner: FileOwner): number {
  return owner.userId ?? process.getBuiltinModule("node:os").userInfo().uid;
}

function octal(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}

/** The operating system's name for what went wrong, such as `EACCES`. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}

export function isErrorCode(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes(errorCode(error));
}
