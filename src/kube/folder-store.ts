import { type FSWatcher, watch } from "node:fs";
import type { Clock } from "../clock.ts";
import { LanyardError } from "../errors.ts";
import type { Logger } from "../telemetry/log.ts";
import { formatTime } from "./conditions.ts";
import {
  alreadyExists,
  badRequest,
  forbidden,
  invalid,
  notFound,
  qualifiedResource,
} from "./folder-store-errors.ts";
import {
  apiVersionOf,
  isObjectName,
  normalizeObject,
  objectId,
  type ValidateObject,
} from "./folder-store-manifests.ts";
import {
  assertCurrent,
  assertPreconditions,
  freezeDeep,
  hasStatus,
  newObject,
  objectOfManifest,
  replacedObject,
  type Stamp,
  withStatusOf,
} from "./folder-store-objects.ts";
import { createManifestScanner, type ScanResult } from "./folder-store-scan.ts";
import { createStateFolder, type StoredObject } from "./folder-store-state.ts";
import { createFolderViews } from "./folder-store-views.ts";
import type { KubernetesObject, ObjectKey, ResourceType } from "./objects.ts";
import { keyOf, keyText } from "./resource-path.ts";
import type { ResourceStore } from "./resource-store.ts";

export interface FolderStoreOptions {
  /** Only ever read: `*.yaml`, `*.yml` and `*.json`, subfolders not. */
  readonly manifestsFolder: string;
  /** Status, and what controllers create; one per process. */
  readonly stateFolder: string;
  /** The kinds that manifests and controllers may use. */
  readonly resources: readonly ResourceType<KubernetesObject>[];
  readonly validate: ValidateObject;
  /** For namespaced objects that name none. */
  readonly namespace: string;
  /** The user that must own both folders; default the process's own. */
  readonly userId?: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** How often the folder is read without a notice of the operating system; default 30,000. */
  readonly rescanMilliseconds?: number;
  /** Whether to ask the operating system for notices; default true. Some network file systems send none. */
  readonly watch?: boolean;
}

export interface FolderStore extends ResourceStore {
  /** @throws LanyardError `folder.unsafe` (S22), `manifest.duplicate` or `state.invalid`: one line with cause and remedy. */
  start(): Promise<void>;
  /** Resolves after the first scan; rejects as `start` does. */
  waitForSync(): Promise<void>;
  /** Ends watching and waits for writes under way. */
  stop(): Promise<void>;
}

const noticeMilliseconds = 100;
const unsettledMilliseconds = 250;

/**
 * A `ResourceStore` over a folder of manifests (standalone mode, design.md section 3): manifests are the administrator's
 * and read-only here, what controllers write goes into the state folder. It behaves as an API server does, with the same
 * errors; objects of manifests can get a status and nothing else.
 */
export function createFolderStore(options: FolderStoreOptions): FolderStore {
  const { clock, namespace } = options;
  const log = options.log.named("folder-store");
  const userId = options.userId ?? process.getuid?.() ?? 0;
  const state = createStateFolder(options.stateFolder, userId, options.resources);
  const scanner = createManifestScanner({ ...options, folder: options.manifestsFolder, userId, log });
  const stored = new Map<string, StoredObject>();
  const objects = new Map<string, Map<string, KubernetesObject>>();
  /** What is known from earlier of objects whose manifests have not been read yet, by `objectId`. */
  const remembered = new Map<string, StoredObject>();
  const synced = Promise.withResolvers<void>();
  synced.promise.catch(() => {});
  let isSynced = false;
  let stopped = false;
  let lastVersion = 0;
  let queue: Promise<unknown> = Promise.resolve();
  let watcher: FSWatcher | undefined;
  let cancelScan = (): void => {};
  let scanDue = Number.POSITIVE_INFINITY;

  const objectsOf = (resource: ResourceType<KubernetesObject>): Map<string, KubernetesObject> => {
    const id = qualifiedResource(resource);
    let map = objects.get(id);
    if (map === undefined) {
      map = new Map();
      objects.set(id, map);
    }
    return map;
  };
  const views = createFolderViews({ log, hasSynced: () => isSynced, objects: objectsOf });

  /** Later than every version that was given out before, also by an earlier process. */
  const stamp = (): Stamp => {
    lastVersion = Math.max(lastVersion + 1, clock.now());
    return { resourceVersion: String(lastVersion), time: formatTime(clock.now()) };
  };

  /** One write at a time, so that what was checked still holds when it is saved. */
  const inTurn = <R>(work: () => Promise<R>): Promise<R> => {
    const result = queue.then(work);
    queue = result.catch(() => {});
    return result;
  };

  const put = (next: StoredObject): void => {
    const id = objectId(next);
    const before = stored.get(id)?.object;
    const object = freezeDeep(next.object);
    stored.set(id, { ...next, object });
    objectsOf(next.resource).set(keyText(keyOf(object)), object);
    if (before !== object) {
      views.changed(next.resource, before, object);
    }
  };

  const drop = (gone: StoredObject): void => {
    stored.delete(objectId(gone));
    objectsOf(gone.resource).delete(keyText(keyOf(gone.object)));
    views.changed(gone.resource, gone.object, undefined);
  };

  const placed = (resource: ResourceType<KubernetesObject>, key: ObjectKey): ObjectKey =>
    resource.namespaced ? { name: key.name, namespace: key.namespace ?? namespace } : { name: key.name };

  const find = (resource: ResourceType<KubernetesObject>, key: ObjectKey): StoredObject => {
    const object = objectsOf(resource).get(keyText(placed(resource, key)));
    const found = object === undefined ? undefined : stored.get(objectId({ resource, object }));
    if (found === undefined) {
      throw notFound(resource, key.name);
    }
    return found;
  };

  /** A copy of what a caller gave, in its place and checked. */
  const accept = (resource: ResourceType<KubernetesObject>, given: KubernetesObject): KubernetesObject => {
    const { name } = given.metadata;
    const copy = structuredClone(given);
    const { namespace: _namespace, ...metadata } = copy.metadata;
    const key = placed(resource, copy.metadata);
    if (!options.resources.some((each) => qualifiedResource(each) === qualifiedResource(resource))) {
      throw new TypeError(`the folder store was not set up for ${qualifiedResource(resource)}`);
    }
    if (!isObjectName(name) || (key.namespace !== undefined && !isObjectName(key.namespace))) {
      throw invalid(resource, name, ["metadata.name: Invalid value: a DNS-1123 subdomain is needed"]);
    }
    const object = normalizeObject({
      ...copy,
      apiVersion: apiVersionOf(resource),
      kind: resource.kind,
      metadata: { ...metadata, ...key },
    });
    const result = options.validate(object);
    if (result.errors.length > 0) {
      throw invalid(resource, name, result.errors);
    }
    return result.object ?? object;
  };

  const applyScan = async (result: ScanResult): Promise<void> => {
    for (const [id, { resource, object: manifest, file }] of result.objects) {
      const known = stored.get(id) ?? remembered.get(id);
      if (known !== undefined && known.file === undefined) {
        log.warning("a manifest takes the place of an object that was created here", { object: id, file });
      }
      const made = objectOfManifest(resource, known, manifest, stamp());
      const unchanged =
        known?.file === file && known.hash === made.hash && sameVersion(known.object, made.object);
      const next: StoredObject = { resource, file, ...made };
      if (!unchanged) {
        await state.save(next);
      }
      remembered.delete(id);
      if (!unchanged || !stored.has(id)) {
        put(next);
      }
    }
    for (const [id, each] of stored) {
      if (each.file !== undefined && !result.objects.has(id)) {
        await state.remove(each);
        drop(each);
      }
    }
    for (const [id, each] of remembered) {
      // What a broken file defined keeps its identity and status until the file is repaired.
      if (each.file === undefined || !result.unknownFiles.has(each.file)) {
        await state.remove(each);
        remembered.delete(id);
      }
    }
  };

  const scan = async (): Promise<void> => {
    const result = await scanner.scan();
    await applyScan(result);
    scheduleScan(result.unsettled ? unsettledMilliseconds : (options.rescanMilliseconds ?? 30_000));
  };

  /** An earlier scan that is due already stands: a stream of notices must not put it off. */
  const scheduleScan = (milliseconds: number): void => {
    const due = clock.now() + milliseconds;
    if (stopped || scanDue <= due) {
      return;
    }
    cancelScan();
    scanDue = due;
    cancelScan = clock.schedule(milliseconds, () => {
      scanDue = Number.POSITIVE_INFINITY;
      inTurn(scan).catch((error: unknown) => {
        log.error("could not read the manifests, everything stays as it was", error, {
          folder: options.manifestsFolder,
        });
        scheduleScan(options.rescanMilliseconds ?? 30_000);
      });
    });
  };

  const watchFolder = (): void => {
    try {
      watcher = watch(options.manifestsFolder, { persistent: false }, () => scheduleScan(noticeMilliseconds));
      watcher.on("error", (error) => {
        log.warning("watching the manifests failed, reading them periodically", { error: error.message });
        watcher?.close();
      });
    } catch (error) {
      log.error("cannot watch the manifests, reading them periodically", error);
    }
  };

  const load = async (): Promise<void> => {
    for (const each of await state.load()) {
      lastVersion = Math.max(lastVersion, Number(each.object.metadata.resourceVersion ?? 0) || 0);
      if (each.file === undefined) {
        put(each);
      } else {
        remembered.set(objectId(each), each);
      }
    }
    if (options.watch !== false) {
      watchFolder();
    }
    await scan();
  };

  const write = <T extends KubernetesObject>(work: () => Promise<KubernetesObject>): Promise<T> => {
    if (!isSynced || stopped) {
      return Promise.reject(
        new LanyardError({
          code: "store.stopped",
          message: "the folder store is not running",
          httpStatus: 503,
        }),
      );
    }
    return inTurn(work) as Promise<T>;
  };

  const change = async (before: StoredObject, object: KubernetesObject): Promise<KubernetesObject> => {
    if (object === before.object) {
      return object;
    }
    const next = { ...before, object: freezeDeep(object) };
    await state.save(next);
    put(next);
    return next.object;
  };

  const assertNoManifest = ({ resource, object, file }: StoredObject): void => {
    if (file !== undefined) {
      throw forbidden(
        resource,
        object.metadata.name,
        `it is defined by the manifest ${file}; change it there`,
      );
    }
  };

  return {
    view: (resource, scope = {}) => views.view(resource, scope),
    get: async <T extends KubernetesObject>(resource: ResourceType<T>, key: ObjectKey) =>
      find(resource, key).object as T,
    create: (resource, object) =>
      write(async () => {
        const accepted = accept(resource, object);
        const { name } = accepted.metadata;
        if (object.metadata.resourceVersion !== undefined) {
          throw badRequest(resource, name, "resourceVersion should not be set on objects to be created");
        }
        if (stored.has(objectId({ resource, object: accepted }))) {
          throw alreadyExists(resource, name);
        }
        const created = { resource, object: freezeDeep(newObject(resource, accepted, stamp())) };
        await state.save(created);
        put(created);
        return created.object;
      }),
    update: (resource, object) =>
      write(async () => {
        const before = find(resource, object.metadata);
        const accepted = accept(resource, object);
        if (hasStatus(resource) && object.metadata.resourceVersion === undefined) {
          throw invalid({ ...resource, kind: resource.plural }, object.metadata.name, [
            "metadata.resourceVersion: Invalid value: 0: must be specified for an update",
          ]);
        }
        assertCurrent(resource, before.object, accepted);
        assertNoManifest(before);
        return change(before, replacedObject(resource, before.object, accepted, stamp()));
      }),
    updateStatus: (resource, object) =>
      write(async () => {
        if (!hasStatus(resource)) {
          throw notFound(resource, object.metadata.name);
        }
        const before = find(resource, object.metadata);
        assertCurrent(resource, before.object, object);
        const next = withStatusOf(resource, before.object, structuredClone(object), stamp());
        accept(resource, next);
        return change(before, next);
      }),
    delete: async (resource, key, preconditions = {}) => {
      await write(async () => {
        const before = find(resource, key);
        assertPreconditions(resource, before.object, preconditions);
        assertNoManifest(before);
        await state.remove(before);
        drop(before);
        return before.object;
      });
    },
    start: async () => {
      try {
        await inTurn(load);
        isSynced = true;
        synced.resolve();
      } catch (error) {
        watcher?.close();
        cancelScan();
        synced.reject(error);
        throw error;
      }
    },
    waitForSync: () => synced.promise,
    stop: async () => {
      stopped = true;
      watcher?.close();
      cancelScan();
      await queue;
    },
  };
}

function sameVersion(a: KubernetesObject, b: KubernetesObject): boolean {
  return a.metadata.resourceVersion === b.metadata.resourceVersion;
}
