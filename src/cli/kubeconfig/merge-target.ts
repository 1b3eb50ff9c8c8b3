import { constants } from "node:fs";
import { access, type FileHandle, mkdir, open, readFile, realpath, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock } from "../../clock.ts";
import { writeBackup } from "./backup-file.ts";
import { fileErrorCode, fileErrorText } from "./file-error.ts";
import type { LoadingRules } from "./load-kubeconfig.ts";
import { openOutputFile, type PendingFile } from "./output-file.ts";
import { failure } from "./visible-text.ts";

/** A kubeconfig that gets new entries at the very end. */
export interface MergeTarget {
  readonly path: string;
  /** Its text now; empty when there is none. */
  readonly text: string;
  /**
   * Writes what `change` makes of its text then, after a copy of it (mode 0600, beside it); answers the copy's path, or nothing
   * when there was nothing to copy or to change.
   */
  commit(change: (text: string) => string): Promise<string | undefined>;
  discard(): Promise<void>;
}

/**
 * The file that `--merge` writes to: the one asked for, else the first of the loading rules that can be written, else the last
 * of them as a new file. Nothing is changed yet, but that its folder is made.
 *
 * @throws CommandError `cli.output-unwritable`
 */
export async function openMergeTarget(
  rules: LoadingRules,
  output: string,
  options: { readonly clock: Clock },
): Promise<MergeTarget> {
  const path = output === "" ? await firstWritable(rules) : output;
  if (output === "") {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 }).catch((error: unknown) => {
      throw failure(
        "cli.output-unwritable",
        `could not open output file: ${fileErrorText("open", dirname(path), error)}`,
        error,
      );
    });
  }
  const file = await openOutputFile(path);
  try {
    return {
      path,
      text: await textOf(path),
      commit: commitTo(path, file, options.clock),
      discard: file.discard,
    };
  } catch (error) {
    await file.discard();
    throw error;
  }
}

async function firstWritable({ paths }: LoadingRules): Promise<string> {
  let missing: string | undefined;
  for (const path of paths) {
    const code = await access(path, constants.W_OK).then(
      () => undefined,
      (error: unknown) => fileErrorCode(error) ?? "",
    );
    if (code === undefined) {
      return path;
    }
    missing = code === "ENOENT" ? path : missing;
  }
  const chosen = missing ?? paths[0];
  if (chosen === undefined) {
    throw failure(
      "cli.output-unwritable",
      "could not open output file: there is no home folder: name a file with -o",
    );
  }
  return chosen;
}

async function textOf(path: string): Promise<string> {
  return await readFile(path, "utf8").catch((error: unknown) => {
    if (fileErrorCode(error) === "ENOENT") {
      return "";
    }
    throw failure(
      "cli.output-unwritable",
      `could not open output file: ${fileErrorText("open", path, error)}`,
      error,
    );
  });
}

function commitTo(path: string, file: PendingFile, clock: Clock): MergeTarget["commit"] {
  return async (change) => {
    const target = await realpath(path).catch(() => path);
    const lock = `${target}.lock`;
    const held = await openLock(lock, clock).catch((error: unknown) => {
      throw failure(
        "cli.kubeconfig-locked",
        `could not lock ${path}: ${fileErrorText("open", lock, error)}: another program is writing it, or one that died left this file behind`,
        error,
      );
    });
    try {
      const before = await textOf(path);
      const after = change(before);
      if (after === before) {
        await file.discard();
        return undefined;
      }
      const backup = before === "" ? undefined : await writeBackup(target, before, clock);
      await file.commit(after);
      return backup;
    } finally {
      await held.close();
      await unlink(lock).catch(() => {});
    }
  };
}

/** Milliseconds that another writer is waited for, and between two looks. */
const LOCK_WAIT = 3_000;
const LOCK_PAUSE = 50;

/** kubectl's own way to keep two writers apart (`k8s.io/client-go/tools/clientcmd`); it gives up at once, but writers take milliseconds. */
async function openLock(path: string, clock: Clock): Promise<FileHandle> {
  const start = clock.now();
  for (;;) {
    try {
      return await open(path, "wx", 0o600);
    } catch (error) {
      if (fileErrorCode(error) !== "EEXIST" || clock.now() - start >= LOCK_WAIT) {
        throw error;
      }
    }
    await clock.sleep(LOCK_PAUSE);
  }
}
