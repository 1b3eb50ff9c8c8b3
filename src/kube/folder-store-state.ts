import { createHash } from "node:crypto";
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { LanyardError } from "../errors.ts";
import { qualifiedResource } from "./folder-store-errors.ts";
import {
  assertSafeFolder,
  prepareStateFolder,
  readSafeFile,
  removeFile,
  writeFileAtomically,
} from "./folder-store-files.ts";
import { apiVersionOf } from "./folder-store-manifests.ts";
import type { KubernetesObject, ObjectKey, ResourceType } from "./objects.ts";
import { keyOf } from "./resource-path.ts";

/** An object and where it comes from. Of manifests only what the store itself adds is written to the state folder. */
export interface StoredObject {
  readonly resource: ResourceType<KubernetesObject>;
  readonly object: KubernetesObject;
  /** The manifest's file name; absent for an object that a controller created. */
  readonly file?: string;
  /** Of a manifest's content, to tell after a restart whether it changed. */
  readonly hash?: string;
}

export interface StateFolder {
  /** Everything that was saved; objects from manifests have only their metadata and status. */
  load(): Promise<StoredObject[]>;
  save(stored: StoredObject): Promise<void>;
  remove(stored: StoredObject): Promise<void>;
}

const clusterScoped = "_cluster";

/**
 * Keeps one JSON file per object, `<folder>/<plural>.<group>/<namespace>/<name>.json`, 0600 in 0700 folders (S22).
 */
export function createStateFolder(
  folder: string,
  userId: number,
  resources: readonly ResourceType<KubernetesObject>[],
): StateFolder {
  const folderOf = (resource: ResourceType<KubernetesObject>, key: ObjectKey): string =>
    join(folder, qualifiedResource(resource), key.namespace ?? clusterScoped);
  const fileOf = (stored: StoredObject): string => {
    const key = keyOf(stored.object);
    return join(folderOf(stored.resource, key), fileName(key.name));
  };

  const loadFile = async (file: string, resource: ResourceType<KubernetesObject>): Promise<StoredObject> => {
    const text = await readSafeFile(file, userId);
    try {
      const value = JSON.parse(text) as { object: KubernetesObject; file?: string; hash?: string };
      if (
        typeof value.object.metadata.name !== "string" ||
        value.object.apiVersion !== apiVersionOf(resource)
      ) {
        throw new TypeError("not an object of this kind");
      }
      return { resource, ...value };
    } catch (error) {
      throw new LanyardError({
        code: "state.invalid",
        message: `${file} holds no object that was saved here; restore it from a backup, or remove it to start afresh`,
        cause: error,
      });
    }
  };

  return {
    load: async () => {
      await prepareStateFolder(folder, userId);
      const loaded: StoredObject[] = [];
      for (const resource of resources) {
        const kindFolder = join(folder, qualifiedResource(resource));
        for (const namespace of await entries(kindFolder, userId)) {
          const namespaceFolder = join(kindFolder, namespace);
          for (const name of await entries(namespaceFolder, userId)) {
            if (name.endsWith(".tmp")) {
              await rm(join(namespaceFolder, name), { force: true });
            } else if (name.endsWith(".json")) {
              loaded.push(await loadFile(join(namespaceFolder, name), resource));
            }
          }
        }
      }
      return loaded;
    },
    save: async (stored) => {
      await mkdir(folderOf(stored.resource, keyOf(stored.object)), { recursive: true, mode: 0o700 });
      const { resource: _resource, ...kept } = stored;
      const content = stored.file === undefined ? kept : { ...kept, object: bookkeeping(stored.object) };
      await writeFileAtomically(fileOf(stored), `${JSON.stringify(content)}\n`);
    },
    remove: (stored) => removeFile(fileOf(stored)),
  };
}

/** Content of a manifest is not copied: it may be a Secret, and the file is its only place. */
function bookkeeping(object: KubernetesObject): KubernetesObject {
  const { apiVersion, kind, metadata } = object;
  return { apiVersion, kind, metadata, ...("status" in object ? { status: object.status } : {}) };
}

/** A name may have 253 bytes, a file's name 255 with the suffix and the temporary files beside it. */
function fileName(name: string): string {
  return name.length <= 240 ? `${name}.json` : `_${createHash("sha256").update(name).digest("hex")}.json`;
}

async function entries(folder: string, userId: number): Promise<string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") {
      return undefined;
    }
    throw error;
  });
  if (names === undefined) {
    return [];
  }
  await assertSafeFolder(folder, userId);
  return names.toSorted();
}
