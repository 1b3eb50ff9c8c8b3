import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, type FileHandle, open, realpath, rename, stat, unlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileErrorCode, fileErrorText } from "./file-error.ts";
import { failure } from "./visible-text.ts";

/** A file that will be written at the very end, or not at all. */
export interface PendingFile {
  /** Puts the text in place, mode 0600. */
  commit(text: string): Promise<void>;
  /** Leaves everything as it was; nothing after `commit`. */
  discard(): Promise<void>;
}

/**
 * Makes sure that a file can be written, without touching what is there: the text goes to a new file beside it that takes its
 * place when everything went well. A symbolic link stays one. What is no file (a pipe, a terminal) is simply written to.
 *
 * @throws CommandError `cli.output-unwritable`, text `could not open output file: …` (contract cli.md 2.8)
 */
export async function openOutputFile(path: string): Promise<PendingFile> {
  try {
    const existing = await stat(path).catch((error: unknown) => {
      if (fileErrorCode(error) === "ENOENT") {
        return undefined;
      }
      throw error;
    });
    if (existing === undefined) {
      return await replacement(await placeOfNewFile(path));
    }
    if (existing.isDirectory()) {
      throw Object.assign(new Error(), { code: "EISDIR" });
    }
    if (!existing.isFile()) {
      return inPlace(await open(path, constants.O_WRONLY));
    }
    await access(path, constants.W_OK);
    const target = await realpath(path);
    return await replacement(target).catch(async (error: unknown) => {
      // A single file that is mounted into a folder of somebody else's can only be written in place.
      if (["EACCES", "EPERM", "EROFS"].includes(fileErrorCode(error) ?? "")) {
        return inPlace(await open(target, constants.O_WRONLY));
      }
      throw error;
    });
  } catch (error) {
    const code = fileErrorCode(error);
    const why = code === "EISDIR" ? `open ${path}: is a directory` : fileErrorText("open", path, error);
    throw failure("cli.output-unwritable", `could not open output file: ${why}`, error);
  }
}

/** A new file's path with its folder resolved, also when the path is a link to nothing yet. */
async function placeOfNewFile(path: string): Promise<string> {
  return join(await realpath(dirname(path)), basename(path));
}

async function replacement(target: string): Promise<PendingFile> {
  const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(6).toString("hex")}.tmp`);
  const file = await open(temporary, "wx", 0o600);
  let isOpen = true;
  return {
    commit: async (text) => {
      await file.writeFile(text);
      await file.sync();
      await file.close();
      await rename(temporary, target);
      isOpen = false;
    },
    discard: async () => {
      if (isOpen) {
        isOpen = false;
        await file.close().catch(() => {});
        await unlink(temporary).catch(() => {});
      }
    },
  };
}

function inPlace(file: FileHandle): PendingFile {
  let isOpen = true;
  return {
    commit: async (text) => {
      isOpen = false;
      if ((await file.stat()).isFile()) {
        await file.chmod(0o600).catch(() => {});
        await file.truncate();
      }
      await file.writeFile(text);
      await file.close();
    },
    discard: async () => {
      if (isOpen) {
        isOpen = false;
        await file.close();
      }
    },
  };
}
