import type { Logger } from "../telemetry/log.ts";
import { compileScope } from "./folder-store-selectors.ts";
import type { KubernetesObject, ObjectKey, ResourceType } from "./objects.ts";
import { keyOf, keyText } from "./resource-path.ts";
import type { ResourceView, ViewScope } from "./resource-store.ts";

export interface FolderViewsOptions {
  readonly log: Logger;
  readonly hasSynced: () => boolean;
  /** All objects of a kind, by `keyText`. */
  readonly objects: (resource: ResourceType<KubernetesObject>) => ReadonlyMap<string, KubernetesObject>;
}

export interface FolderViews {
  view<T extends KubernetesObject>(resource: ResourceType<T>, scope: ViewScope): ResourceView<T>;
  /** Tells every view whose scope the object was or is in. */
  changed(
    resource: ResourceType<KubernetesObject>,
    before: KubernetesObject | undefined,
    after: KubernetesObject | undefined,
  ): void;
}

interface FolderView extends ResourceView<KubernetesObject> {
  readonly resource: ResourceType<KubernetesObject>;
  holds(object: KubernetesObject | undefined): boolean;
  tell(key: ObjectKey): void;
}

export function createFolderViews(options: FolderViewsOptions): FolderViews {
  const views = new Map<string, FolderView>();

  const createView = (resource: ResourceType<KubernetesObject>, scope: ViewScope): FolderView => {
    const inScope = compileScope(scope);
    const listeners = new Set<(key: ObjectKey) => void>();
    return {
      resource,
      get: (key) => {
        const object = options.objects(resource).get(keyText(key));
        return object !== undefined && inScope(object) ? object : undefined;
      },
      list: () => [...options.objects(resource).values()].filter(inScope),
      hasSynced: options.hasSynced,
      subscribe: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
      holds: (object) => object !== undefined && inScope(object),
      tell: (key) => {
        for (const listener of listeners) {
          try {
            listener(key);
          } catch (error) {
            options.log.error("a listener of a view failed", error, {
              kind: resource.kind,
              object: keyText(key),
            });
          }
        }
      },
    };
  };

  return {
    view: <T extends KubernetesObject>(resource: ResourceType<T>, scope: ViewScope): ResourceView<T> => {
      const id = JSON.stringify([
        resource.group,
        resource.plural,
        scope.namespace,
        scope.labelSelector,
        scope.fieldSelector,
      ]);
      let view = views.get(id);
      if (view === undefined) {
        view = createView(resource, scope);
        views.set(id, view);
      }
      return view as unknown as ResourceView<T>;
    },
    changed: (resource, before, after) => {
      const object = after ?? before;
      if (object === undefined) {
        return;
      }
      for (const view of views.values()) {
        const same = view.resource.group === resource.group && view.resource.plural === resource.plural;
        if (same && (view.holds(before) || view.holds(after))) {
          view.tell(keyOf(object));
        }
      }
    },
  };
}
