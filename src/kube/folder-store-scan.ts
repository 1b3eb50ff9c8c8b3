import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { LanyardError, messageOf } from "../errors.ts";
import type { Logger } from "../telemetry/log.ts";
import { assertSafeFolder, hasCode, readSafeFile } from "./folder-store-files.ts";
import {
  type ManifestObject,
  objectId,
  parseManifest,
  type ParseManifestOptions,
} from "./folder-store-manifests.ts";

export interface ScannerOptions extends ParseManifestOptions {
  readonly folder: string;
  readonly userId: number;
  readonly log: Logger;
}

export interface ScanResult {
  /** What the folder defines now, by `objectId`; of broken files what they defined last. */
  readonly objects: ReadonlyMap<string, ManifestObject & { readonly file: string }>;
  /** Files that define nothing only because they could never be read. */
  readonly unknownFiles: ReadonlySet<string>;
  /** A file has just gone or changed; whether for good and in full, the next scan tells. */
  readonly unsettled: boolean;
}

interface ManifestFile {
  /** What was read last; `text` is what was judged last. */
  seen: string | undefined;
  text: string | undefined;
  /** The last good content. */
  objects: readonly ManifestObject[];
  /** Good in itself, but not yet free of collisions with other files. */
  candidate: readonly ManifestObject[] | undefined;
  known: boolean;
  missing: boolean;
  complaint: string | undefined;
}

/**
 * Reads a folder of manifests again and again. The first scan throws for what must stop the start: unsafe files (S22) and
 * objects that are defined twice. Later ones log what is wrong, once, and go on with each file's last good content.
 */
export function createManifestScanner(options: ScannerOptions): { scan(): Promise<ScanResult> } {
  const { folder, log, userId } = options;
  const files = new Map<string, ManifestFile>();
  let first = true;

  const complain = (name: string, file: ManifestFile, reason: string): void => {
    if (file.complaint !== reason) {
      file.complaint = reason;
      log.error("a manifest is not used, its last good content stays in force", new Error(reason), {
        file: join(folder, name),
      });
    }
  };

  const readFile = async (name: string): Promise<void> => {
    const file = files.get(name) ?? newFile();
    let text: string;
    try {
      text = await readSafeFile(join(folder, name), userId);
    } catch (error) {
      if (hasCode(error, "ENOENT")) {
        return;
      }
      if (first) {
        throw error instanceof LanyardError
          ? error
          : new LanyardError({
              code: "folder.unsafe",
              message: `cannot read ${join(folder, name)}: ${messageOf(error)}`,
              cause: error,
            });
      }
      files.set(name, file);
      file.missing = false;
      complain(name, file, messageOf(error));
      return;
    }
    files.set(name, file);
    if (file.missing) {
      // Another file may define the same by now.
      file.missing = false;
      file.candidate = file.objects;
      file.objects = [];
    }
    const isComplete = first || file.seen === text;
    file.seen = text;
    if (file.text === text || !isComplete) {
      // Half of a file that is being written can be a good manifest.
      return;
    }
    file.text = text;
    const parsed = parseManifest(text, options);
    for (const warning of parsed.warnings) {
      log.warning("a manifest has a warning", { file: join(folder, name), warning });
    }
    if (parsed.errors.length > 0) {
      complain(name, file, parsed.errors.join("; "));
      return;
    }
    file.candidate = parsed.objects;
  };

  /** Takes over new content, file by file, for as long as one more of them is free of collisions. */
  const acceptCandidates = (): void => {
    for (let progress = true; progress;) {
      progress = false;
      for (const [name, file] of sorted(files)) {
        if (file.candidate === undefined) {
          continue;
        }
        const collision = findCollision(name, file.candidate);
        if (collision === undefined) {
          file.objects = file.candidate;
          file.candidate = undefined;
          file.known = true;
          file.complaint = undefined;
          progress = true;
        }
      }
    }
    for (const [name, file] of sorted(files)) {
      const collision = file.candidate === undefined ? undefined : findCollision(name, file.candidate);
      if (collision !== undefined) {
        if (first) {
          throw new LanyardError({ code: "manifest.duplicate", message: `${collision}; remove one of them` });
        }
        complain(name, file, collision);
      }
    }
  };

  const findCollision = (name: string, objects: readonly ManifestObject[]): string | undefined => {
    const ids = new Set(objects.map(objectId));
    for (const [other, file] of sorted(files)) {
      const id =
        other === name || file.missing ? undefined : file.objects.map(objectId).find((each) => ids.has(each));
      if (id !== undefined) {
        return `${id} is defined in both ${join(folder, other)} and ${join(folder, name)}`;
      }
    }
    return undefined;
  };

  const collect = (): ScanResult => {
    const objects = new Map<string, ManifestObject & { readonly file: string }>();
    // A file that has just gone yields to one that defines the same: an object may move between files.
    for (const [name, file] of sorted(files).toSorted(
      ([, a], [, b]) => Number(b.missing) - Number(a.missing),
    )) {
      for (const each of file.objects) {
        objects.set(objectId(each), { ...each, file: name });
      }
    }
    const all = [...files];
    return {
      objects,
      unknownFiles: new Set(all.filter(([, file]) => !file.known).map(([name]) => name)),
      unsettled: all.some(([, file]) => file.missing || file.seen !== file.text),
    };
  };

  return {
    scan: async () => {
      await assertSafeFolder(folder, userId);
      const names = (await readdir(folder)).filter(isManifestName).toSorted();
      const present = new Set(names);
      for (const [name, file] of files) {
        if (!present.has(name)) {
          // Editors replace a file by removing it first.
          if (file.missing) {
            files.delete(name);
          }
          file.missing = true;
        }
      }
      for (const name of names) {
        await readFile(name);
      }
      acceptCandidates();
      first = false;
      return collect();
    },
  };
}

function newFile(): ManifestFile {
  return {
    seen: undefined,
    text: undefined,
    objects: [],
    candidate: undefined,
    known: false,
    missing: false,
    complaint: undefined,
  };
}

function sorted(files: ReadonlyMap<string, ManifestFile>): [string, ManifestFile][] {
  return [...files].toSorted(([a], [b]) => (a < b ? -1 : 1));
}

function isManifestName(name: string): boolean {
  return /^[^.].*\.(ya?ml|json)$/.test(name);
}
