import type { Logger } from "../telemetry/log.ts";
import type { KubernetesObject, ObjectKey } from "./objects.ts";
import { keyOf, keyText } from "./resource-path.ts";

/** The objects of one informer and those who want to know what changes. */
export interface ObjectCache<T extends KubernetesObject> {
  get(key: ObjectKey): T | undefined;
  list(): readonly T[];
  size(): number;
  set(object: T): void;
  remove(object: T): void;
  /** Puts a whole list in place at once and tells what differs from before. */
  replace(objects: readonly T[]): void;
  /** Tells every key again. */
  announceAll(): void;
  subscribe(listener: (key: ObjectKey) => void): () => void;
}

export function createObjectCache<T extends KubernetesObject>(log: Logger): ObjectCache<T> {
  let objects = new Map<string, T>();
  let listed: readonly T[] | undefined;
  const listeners = new Set<{ readonly call: (key: ObjectKey) => void }>();

  const announce = (keys: readonly ObjectKey[]): void => {
    listed = undefined;
    for (const key of keys) {
      for (const listener of [...listeners]) {
        try {
          listener.call(key);
        } catch (error) {
          log.error("a listener of an informer failed", error);
        }
      }
    }
  };

  return {
    get: (key) => objects.get(keyText(key)),
    list: () => (listed ??= Object.freeze([...objects.values()])),
    size: () => objects.size,
    set: (object) => {
      const key = keyOf(object);
      const previous = objects.get(keyText(key));
      if (previous !== undefined && isSame(previous, object)) {
        return;
      }
      objects.set(keyText(key), object);
      announce([key]);
    },
    remove: (object) => {
      const key = keyOf(object);
      if (objects.delete(keyText(key))) {
        announce([key]);
      }
    },
    replace: (list) => {
      const next = new Map<string, T>();
      const changed: ObjectKey[] = [];
      for (const object of list) {
        const key = keyOf(object);
        const previous = objects.get(keyText(key));
        const same = previous !== undefined && isSame(previous, object);
        next.set(keyText(key), same ? previous : object);
        if (!same) {
          changed.push(key);
        }
      }
      for (const [text, object] of objects) {
        if (!next.has(text)) {
          changed.push(keyOf(object));
        }
      }
      objects = next;
      announce(changed);
    },
    announceAll: () => announce([...objects.values()].map(keyOf)),
    subscribe: (listener) => {
      const entry = { call: listener };
      listeners.add(entry);
      return () => listeners.delete(entry);
    },
  };
}

/** Versions are compared for equality only: they are opaque. */
function isSame(a: KubernetesObject, b: KubernetesObject): boolean {
  return (
    a.metadata.uid === b.metadata.uid &&
    a.metadata.resourceVersion !== undefined &&
    a.metadata.resourceVersion === b.metadata.resourceVersion
  );
}
