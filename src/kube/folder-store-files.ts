import { randomUUID } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { chmod, lstat, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { LanyardError } from "../errors.ts";

/** Larger files are refused: an API server does not take objects of more than 3 MiB either. */
const largestFileBytes = 3 * 1024 * 1024;

/**
 * Refuses a folder that is a symlink, belongs to another user or is writable by others (S22).
 *
 * @throws LanyardError `folder.unsafe` naming the cause and its remedy.
 */
export async function assertSafeFolder(folder: string, userId: number): Promise<void> {
  let stats: Stats;
  try {
    stats = await lstat(folder);
  } catch (error) {
    throw unsafe(folder, "cannot be read", "create it, or correct the path in the configuration", error);
  }
  if (!stats.isSymbolicLink() && !stats.isDirectory()) {
    throw unsafe(folder, "is not a folder", "correct the path in the configuration");
  }
  assertOwnership(folder, stats, userId);
}

/** The folder for our own state: made with 0700 if it is missing, narrowed to 0700 if others could read it. */
export async function prepareStateFolder(folder: string, userId: number): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await assertSafeFolder(folder, userId);
  await chmod(folder, 0o700);
}

/**
 * Reads a regular file after the checks of S22, on the opened file itself, so that it cannot be exchanged in between.
 *
 * @throws LanyardError `folder.unsafe`; the system's error with code `ENOENT` when it is gone.
 */
export async function readSafeFile(file: string, userId: number): Promise<string> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    (error: unknown) => {
      if (hasCode(error, "ELOOP")) {
        throw isSymlink(file);
      }
      throw error;
    },
  );
  try {
    const stats = await handle.stat();
    if (!stats.isFile()) {
      throw unsafe(file, "is not a regular file", "remove it");
    }
    assertOwnership(file, stats, userId);
    if (stats.size > largestFileBytes) {
      throw unsafe(file, "is larger than 3 MiB", "split it");
    }
    return await handle.readFile("utf8");
  } finally {
    await handle.close();
  }
}

/** Replaces a file in one step, or leaves it as it was: written beside it with 0600, synced, renamed (S22). */
export async function writeFileAtomically(file: string, text: string): Promise<void> {
  const folder = dirname(file);
  const temporary = join(folder, `.${randomUUID()}.tmp`);
  try {
    const handle = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      await handle.writeFile(text, "utf8");
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

export async function removeFile(file: string): Promise<void> {
  await rm(file, { force: true });
  await syncFolder(dirname(file));
}

/** Whether an error of the operating system has this code. */
export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function assertOwnership(path: string, stats: Stats, userId: number): void {
  if (stats.isSymbolicLink()) {
    throw isSymlink(path);
  }
  if (stats.uid !== userId) {
    throw unsafe(
      path,
      `belongs to user ${stats.uid}, not to user ${userId}`,
      `run: chown ${userId} '${path}'`,
    );
  }
  if ((stats.mode & 0o022) !== 0) {
    const mode = (stats.mode & 0o777).toString(8).padStart(4, "0");
    throw unsafe(path, `is writable by others (mode ${mode})`, `run: chmod go-w '${path}'`);
  }
}

function isSymlink(path: string): LanyardError {
  return unsafe(path, "is a symlink", "put the file or folder itself there");
}

function unsafe(path: string, cause: string, remedy: string, error?: unknown): LanyardError {
  return new LanyardError({ code: "folder.unsafe", message: `${path} ${cause}; ${remedy}`, cause: error });
}
