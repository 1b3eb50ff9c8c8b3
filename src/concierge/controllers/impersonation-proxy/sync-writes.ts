import { isNotFound } from "../../../kube/api-error.ts";
import { isNotLeader } from "../../../kube/not-leader.ts";
import type { KubernetesObject, ResourceType } from "../../../kube/objects.ts";
import type { ResourceStore } from "../../../kube/resource-store.ts";

/** The writes of one sync. A replica that does not lead goes on with what the cluster holds (contract 6.6, 6.8). */
export interface SyncWrites {
  /** Undefined: this replica does not lead. */
  create<T extends KubernetesObject>(resource: ResourceType<T>, object: T): Promise<T | undefined>;
  update<T extends KubernetesObject>(resource: ResourceType<T>, object: T): Promise<T | undefined>;
  /** Deletes exactly this state of the object; one that is gone already is no error. False: this replica does not lead. */
  remove(resource: ResourceType<KubernetesObject>, object: KubernetesObject): Promise<boolean>;
}

export function createSyncWrites(store: Pick<ResourceStore, "create" | "update" | "delete">): SyncWrites {
  return {
    create: (resource, object) => unlessRefused(store.create(resource, object)),
    update: (resource, object) => unlessRefused(store.update(resource, object)),
    remove: async (resource, { metadata }) => {
      const { name, namespace, uid, resourceVersion } = metadata;
      const removal = store.delete(
        resource,
        { name, ...(namespace === undefined ? {} : { namespace }) },
        {
          ...(uid === undefined ? {} : { uid }),
          ...(resourceVersion === undefined ? {} : { resourceVersion }),
        },
      );
      try {
        return (await unlessRefused(removal.then(() => true))) ?? false;
      } catch (error) {
        if (isNotFound(error)) {
          return true;
        }
        throw error;
      }
    },
  };
}

/** The answer of a write, or undefined when it was refused because this replica does not lead. */
export async function unlessRefused<R>(write: Promise<R>): Promise<R | undefined> {
  try {
    return await write;
  } catch (error) {
    if (isNotLeader(error)) {
      return undefined;
    }
    throw error;
  }
}
