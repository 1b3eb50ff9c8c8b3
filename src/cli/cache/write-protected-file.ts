import * as nodeFileSystem from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Clock } from "../../clock.ts";
import { LanyardError } from "../../errors.ts";
import { errorCode, isErrorCode, unsafeFile, unsafeFolder } from "./protected-file.ts";
import type { FileOwner, FileSystem } from "./protected-file.ts";

/** What a file could not be written for; the message is one line with its remedy. Codes: `cache.unsafe` (S23), `cache.write`. */
export class CacheWriteError extends LanyardError {
  constructor(code: "cache.unsafe" | "cache.write", message: string, cause?: unknown) {
    super({ code, message, cause });
    this.name = "CacheWriteError";
  }
}

/** Windows refuses to replace a file while somebody reads it; that is over within milliseconds. */
const RENAME_ATTEMPTS = 8;
const FIRST_RENAME_PAUSE = 5;

/**
 * Replaces a file that holds secrets: written beside it (0600), flushed, renamed; whoever reads sees the old text or the new one,
 * whatever happens in between. A missing folder is made (0700). Expects its caller to hold the file's lock, as it also removes what
 * killed processes left half-written. Throws `CacheWriteError`.
 */
export async function writeProtectedFile(
  path: string,
  text: string,
  owner: FileOwner & { readonly clock: Clock },
): Promise<void> {
  const fileSystem = owner.fileSystem ?? nodeFileSystem;
  createFolder(dirname(path), owner);
  const target = replaceableFile(path, owner);
  const folder = dirname(target);
  const prefix = `.${basename(target)}.`;
  const temporary = join(folder, `${prefix}${randomMark()}.tmp`);
  removeLeftovers(folder, prefix, fileSystem);
  try {
    const descriptor = fileSystem.openSync(temporary, "wx", 0o600);
    try {
      fileSystem.writeFileSync(descriptor, text);
      fileSystem.fsyncSync(descriptor);
    } finally {
      fileSystem.closeSync(descriptor);
    }
    await renameFile(temporary, target, owner);
  } catch (error) {
    try {
      fileSystem.unlinkSync(temporary);
    } catch {
      // It may not exist; the next one to write removes it otherwise.
    }
    throw new CacheWriteError("cache.write", `${path} cannot be written (${errorCode(error)})`, error);
  }
}

/** Makes a folder for secrets where there is none. Throws `CacheWriteError`. */
export function createFolder(folder: string, owner: FileOwner): void {
  const fileSystem = owner.fileSystem ?? nodeFileSystem;
  let unsafe = unsafeFolder(folder, owner);
  if (unsafe === "absent") {
    try {
      makeFolder(folder, fileSystem);
    } catch (error) {
      throw new CacheWriteError("cache.write", `${folder} cannot be created (${errorCode(error)})`, error);
    }
    unsafe = unsafeFolder(folder, owner);
  }
  if (unsafe !== undefined) {
    throw new CacheWriteError("cache.unsafe", unsafe);
  }
}

/**
 * Gives a file another name beside it that nothing has yet, `<name>.<mark>-<time>`; answers the name. Nobody's data is thrown away
 * because this program cannot read it. Expects its caller to hold the file's lock. Throws `CacheWriteError`.
 */
export async function moveAside(
  path: string,
  mark: string,
  owner: FileOwner & { readonly clock: Clock },
): Promise<string> {
  const target = replaceableFile(path, owner);
  const time = new Date(owner.clock.now()).toISOString().replaceAll(/[-:]|\.\d+/g, "");
  const name = `${target}.${mark}-${time}-${randomMark()}`;
  try {
    await renameFile(target, name, owner);
  } catch (error) {
    throw new CacheWriteError("cache.write", `${path} cannot be moved aside (${errorCode(error)})`, error);
  }
  return name;
}

/** Where a file really is, if it may be replaced: a link stays a link, what it leads to is replaced. */
function replaceableFile(path: string, owner: FileOwner): string {
  const fileSystem = owner.fileSystem ?? nodeFileSystem;
  let target: string;
  let status: nodeFileSystem.Stats;
  try {
    target = fileSystem.realpathSync(path);
    status = fileSystem.statSync(target);
  } catch (error) {
    if (isErrorCode(error, "ENOENT")) {
      return path;
    }
    throw new CacheWriteError("cache.write", `${path} cannot be read (${errorCode(error)})`, error);
  }
  const unsafe = unsafeFile(path, status, owner) ?? unsafeFolder(dirname(target), owner);
  if (unsafe !== undefined) {
    throw new CacheWriteError("cache.unsafe", unsafe);
  }
  return target;
}

function removeLeftovers(
  folder: string,
  prefix: string,
  fileSystem: typeof nodeFileSystem | NonNullable<FileOwner["fileSystem"]>,
): void {
  try {
    for (const name of fileSystem.readdirSync(folder)) {
      if (name.startsWith(prefix) && name.endsWith(".tmp")) {
        fileSystem.unlinkSync(join(folder, name));
      }
    }
  } catch {
    // They only take space.
  }
}

/** Names only have to differ: the folder is ours alone, and no file is opened that exists. */
function randomMark(): string {
  return Math.random().toString(36).slice(2, 12);
}

async function renameFile(
  from: string,
  to: string,
  owner: FileOwner & { readonly clock: Clock },
): Promise<void> {
  const fileSystem = owner.fileSystem ?? nodeFileSystem;
  for (let attempt = 1; ; attempt++) {
    try {
      fileSystem.renameSync(from, to);
      return;
    } catch (error) {
      const passes = owner.platform === "win32" && isErrorCode(error, "EPERM", "EACCES", "EBUSY");
      if (!passes || attempt === RENAME_ATTEMPTS) {
        throw error;
      }
    }
    await owner.clock.sleep(FIRST_RENAME_PAUSE * 2 ** attempt);
  }
}

/** Not `recursive`, which never ends where no folder can be made, as in /proc. */
function makeFolder(folder: string, fileSystem: FileSystem): void {
  try {
    makeOneFolder(folder, fileSystem);
  } catch (error) {
    const parent = dirname(folder);
    if (!isErrorCode(error, "ENOENT") || parent === folder) {
      throw error;
    }
    makeFolder(parent, fileSystem);
    makeOneFolder(folder, fileSystem);
  }
}

/** Another process may make the same one at any moment. */
function makeOneFolder(folder: string, fileSystem: FileSystem): void {
  try {
    fileSystem.mkdirSync(folder, 0o700);
  } catch (error) {
    if (!isErrorCode(error, "EEXIST")) {
      throw error;
    }
  }
}
