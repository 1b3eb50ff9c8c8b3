import { readFile, stat } from "node:fs/promises";

import type { Clock } from "../clock.ts";
import { LanyardError, messageOf } from "../errors.ts";

/** A text that is given, or that lives in a file which others replace while we run. */
export type TextOrFile = { readonly text: string } | { readonly file: string };

/** Reads a `TextOrFile`; a file is read again when it changed. */
export interface TextSource {
  /**
   * The text as last seen; the last good one while the file cannot be read.
   *
   * @throws LanyardError `kubernetes.configuration.unreadable` when it was never read.
   */
  read(): Promise<string>;
  /** Makes the next `read` look at the file itself, for instance after a 401. */
  expire(): void;
}

export interface TextSourceOptions {
  readonly clock: Clock;
  /** How often the file's time, size and inode are looked at; milliseconds, default 5,000. */
  readonly checkMilliseconds?: number;
  /** How often it is read even when those did not change; milliseconds, default 60,000. */
  readonly rereadMilliseconds?: number;
}

export function createTextSource(source: TextOrFile, options: TextSourceOptions): TextSource {
  if ("text" in source) {
    const { text } = source;
    return { read: () => Promise.resolve(text), expire: () => {} };
  }
  const { file } = source;
  const { clock, checkMilliseconds = 5_000, rereadMilliseconds = 60_000 } = options;
  let text: string | undefined;
  let identity = "";
  let nextCheck = -Infinity;
  let nextRead = -Infinity;
  let pending: Promise<string> | undefined;

  const load = async (): Promise<string> => {
    try {
      const { mtimeMs, size, ino } = await stat(file);
      const seen = `${mtimeMs} ${size} ${ino}`;
      if (text === undefined || seen !== identity || clock.now() >= nextRead) {
        text = await readFile(file, "utf8");
        identity = seen;
        nextRead = clock.now() + rereadMilliseconds;
      }
    } catch (error) {
      if (text === undefined) {
        throw new LanyardError({
          code: "kubernetes.configuration.unreadable",
          message: `cannot read ${file}: ${messageOf(error)}`,
          cause: error,
        });
      }
    }
    nextCheck = clock.now() + checkMilliseconds;
    return text;
  };

  return {
    read: () => {
      if (text !== undefined && clock.now() < nextCheck) {
        return Promise.resolve(text);
      }
      pending ??= load().finally(() => {
        pending = undefined;
      });
      return pending;
    },
    expire: () => {
      nextCheck = -Infinity;
      nextRead = -Infinity;
    },
  };
}
