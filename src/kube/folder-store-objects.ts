import { createHash, randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { conflict, staleObject } from "./folder-store-errors.ts";
import type { StoredObject } from "./folder-store-state.ts";
import type { KubernetesObject, ObjectMeta, ResourceType } from "./objects.ts";
import type { Preconditions } from "./resource-store.ts";

/** What an API server gives a new object. */
export interface Stamp {
  readonly resourceVersion: string;
  /** RFC 3339, whole seconds. */
  readonly time: string;
}

type Parts = KubernetesObject & { readonly status?: unknown };

export function newObject(
  resource: ResourceType<KubernetesObject>,
  given: KubernetesObject,
  stamp: Stamp,
): KubernetesObject {
  const { metadata, ...rest } = withoutStatus(given, resource);
  return {
    ...rest,
    metadata: {
      ...ownMetadata(metadata),
      uid: randomUUID(),
      resourceVersion: stamp.resourceVersion,
      creationTimestamp: stamp.time,
      ...(hasStatus(resource) ? { generation: 1 } : {}),
    },
  };
}

/** `given` in the place of `stored`, status kept; the very same object when nothing differs. */
export function replacedObject(
  resource: ResourceType<KubernetesObject>,
  stored: KubernetesObject,
  given: KubernetesObject,
  stamp: Stamp,
): KubernetesObject {
  const { metadata: givenMetadata, ...content } = withoutStatus(given, resource);
  const { metadata, ...storedContent } = withoutStatus(stored, resource);
  const { generation, ...kept } = metadata;
  const sameContent = isDeepStrictEqual(content, storedContent);
  if (sameContent && isDeepStrictEqual(ownMetadata(givenMetadata), ownMetadata(metadata))) {
    return stored;
  }
  return {
    ...content,
    metadata: {
      ...ownMetadata(givenMetadata),
      ...identityOf(kept),
      resourceVersion: stamp.resourceVersion,
      ...(generation === undefined ? {} : { generation: sameContent ? generation : generation + 1 }),
    },
    ...statusOf(stored, resource),
  };
}

/** `stored` with the status of `given`; the very same object when it does not differ. */
export function withStatusOf(
  resource: ResourceType<KubernetesObject>,
  stored: KubernetesObject,
  given: KubernetesObject,
  stamp: Stamp,
): KubernetesObject {
  const status = statusOf(given, resource);
  if (isDeepStrictEqual(status, statusOf(stored, resource))) {
    return stored;
  }
  const changed = { ...withoutStatus(stored, resource), ...status };
  return { ...changed, metadata: { ...stored.metadata, resourceVersion: stamp.resourceVersion } };
}

/** A manifest's object as it is stored, given what is known of it already (perhaps only its metadata and status). */
export function objectOfManifest(
  resource: ResourceType<KubernetesObject>,
  known: StoredObject | undefined,
  manifest: KubernetesObject,
  stamp: Stamp,
): { readonly object: KubernetesObject; readonly hash: string } {
  const { metadata: _metadata, ...content } = manifest;
  const hash = createHash("sha256").update(JSON.stringify(content)).digest("hex");
  if (known === undefined) {
    return { object: newObject(resource, manifest, stamp), hash };
  }
  const { generation = 1, ...metadata } = known.object.metadata;
  const sameContent = known.hash === hash;
  const sameMetadata = isDeepStrictEqual(ownMetadata(manifest.metadata), ownMetadata(metadata));
  return {
    hash,
    object: {
      ...withoutStatus(manifest, resource),
      metadata: {
        ...ownMetadata(manifest.metadata),
        ...identityOf(metadata),
        ...(sameContent && sameMetadata ? {} : { resourceVersion: stamp.resourceVersion }),
        ...(hasStatus(resource) ? { generation: sameContent ? generation : generation + 1 } : {}),
      },
      ...statusOf(known.object, resource),
    },
  };
}

/** @throws KubernetesApiError 409 as an API server's `rest.BeforeDelete` does, which names the kind. */
export function assertPreconditions(
  resource: ResourceType<KubernetesObject>,
  stored: KubernetesObject,
  preconditions: Preconditions,
): void {
  const { name, uid, resourceVersion } = stored.metadata;
  const byKind = { ...resource, plural: resource.kind };
  if (preconditions.uid !== undefined && preconditions.uid !== uid) {
    throw conflict(
      byKind,
      name,
      `the UID in the precondition (${preconditions.uid}) does not match the UID in record (${uid ?? ""}). The object might have been deleted and then recreated`,
    );
  }
  if (preconditions.resourceVersion !== undefined && preconditions.resourceVersion !== resourceVersion) {
    throw conflict(
      byKind,
      name,
      `the ResourceVersion in the precondition (${preconditions.resourceVersion}) does not match the ResourceVersion in record (${resourceVersion ?? ""}). The object might have been modified`,
    );
  }
}

/** @throws KubernetesApiError 409 when `given` was read before the last change of `stored`, or is another object. */
export function assertCurrent(
  resource: ResourceType<KubernetesObject>,
  stored: KubernetesObject,
  given: KubernetesObject,
): void {
  const { uid, resourceVersion } = given.metadata;
  if (uid !== undefined && uid !== stored.metadata.uid) {
    throw conflict(
      resource,
      stored.metadata.name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${stored.metadata.uid ?? ""}`,
    );
  }
  if (resourceVersion !== undefined && resourceVersion !== stored.metadata.resourceVersion) {
    throw staleObject(resource, stored.metadata.name);
  }
}

/** Only our own kinds have a status of their own; Secrets and ConfigMaps have none, and no generation. */
export function hasStatus(resource: ResourceType<KubernetesObject>): boolean {
  return resource.group !== "";
}

/** Freezes an object all the way down: views hand it to everybody. */
export function freezeDeep<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(freezeDeep);
  }
  return value;
}

function withoutStatus(object: KubernetesObject, resource: ResourceType<KubernetesObject>): KubernetesObject {
  if (!hasStatus(resource)) {
    return object;
  }
  const { status: _status, ...rest } = object as Parts;
  return rest;
}

function statusOf(
  object: KubernetesObject,
  resource: ResourceType<KubernetesObject>,
): { readonly status?: unknown } {
  const { status } = object as Parts;
  return status === undefined || !hasStatus(resource) ? {} : { status };
}

/** The part of the metadata that belongs to the writer. */
function ownMetadata(metadata: ObjectMeta): ObjectMeta {
  const {
    uid: _uid,
    resourceVersion: _resourceVersion,
    generation: _generation,
    creationTimestamp: _creationTimestamp,
    deletionTimestamp: _deletionTimestamp,
    ...own
  } = metadata;
  return Object.fromEntries(
    Object.entries(own).filter(([, value]) => value !== undefined && !isEmptyCollection(value)),
  ) as unknown as ObjectMeta;
}

function identityOf(metadata: ObjectMeta): Pick<ObjectMeta, "uid" | "resourceVersion" | "creationTimestamp"> {
  const { uid, resourceVersion, creationTimestamp } = metadata;
  return {
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
  };
}

function isEmptyCollection(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).length === 0;
}
