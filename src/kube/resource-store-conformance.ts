import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { KubernetesApiError } from "./api-error.ts";
import { type KubernetesObject, type ResourceType, type Secret, secrets } from "./objects.ts";
import type { ResourceStore, ResourceView } from "./resource-store.ts";

/** The kind with spec and status that the suite writes; a cluster needs `conformanceCrd` for it. */
export interface Sample extends KubernetesObject {
  readonly spec?: { readonly text: string };
  readonly status?: { readonly text: string };
}

export const samples: ResourceType<Sample> = {
  group: "conformance.lanyard.test",
  version: "v1",
  kind: "Sample",
  plural: "samples",
  namespaced: false,
};

const textSchema = { type: "object", properties: { text: { type: "string" } } };

/** `apiextensions.k8s.io/v1 CustomResourceDefinition` of `samples`. */
export const conformanceCrd = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "samples.conformance.lanyard.test" },
  spec: {
    group: samples.group,
    scope: "Cluster",
    names: { kind: samples.kind, plural: samples.plural, singular: "sample" },
    versions: [
      {
        name: samples.version,
        served: true,
        storage: true,
        subresources: { status: {} },
        schema: {
          openAPIV3Schema: { type: "object", properties: { spec: textSchema, status: textSchema } },
        },
      },
    ],
  },
};

export interface ResourceStoreHarness {
  readonly store: ResourceStore;
  /** An existing namespace in which the suite may do as it likes. */
  readonly namespace: string;
  stop(): Promise<void>;
}

/** What every `ResourceStore` must do, with the error texts of a kube-apiserver. */
export function describeResourceStore(
  name: string,
  createHarness: () => Promise<ResourceStoreHarness>,
): void {
  describe(`${name} as a ResourceStore`, () => {
    let harness: ResourceStoreHarness;
    let count = 0;
    before(async () => {
      harness = await createHarness();
    });
    after(() => harness.stop());

    const sample = (text = "first"): Sample => ({
      apiVersion: "conformance.lanyard.test/v1",
      kind: "Sample",
      metadata: { name: `sample-${count++}` },
      spec: { text },
    });
    const secret = (labels: Readonly<Record<string, string>> = {}): Secret => ({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: `secret-${count++}`, namespace: harness.namespace, labels },
      type: "Opaque",
      data: { key: "dmFsdWU=" },
    });
    const keyOfSecret = ({ metadata }: Secret) => ({ namespace: harness.namespace, name: metadata.name });

    it("creates and reads, with everything that an API server adds", async () => {
      const given = sample();
      const created = await harness.store.create(samples, { ...given, status: { text: "ignored" } });
      assert.match(created.metadata.uid ?? "", /^[0-9a-f-]{36}$/);
      assert.match(created.metadata.creationTimestamp ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      assert.equal(created.metadata.generation, 1);
      assert.ok(created.metadata.resourceVersion !== undefined);
      assert.deepEqual(created.spec, { text: "first" });
      assert.equal(created.status, undefined, "a new object has no status");
      assert.deepEqual(await harness.store.get(samples, { name: given.metadata.name }), created);
    });

    it("keeps a Secret's data, labels and type", async () => {
      const given = secret({ app: "x" });
      const created = await harness.store.create(secrets, given);
      const read = await harness.store.get(secrets, keyOfSecret(given));
      assert.deepEqual(read, created);
      assert.deepEqual([read.data, read.metadata.labels, read.type], [given.data, { app: "x" }, "Opaque"]);
      assert.equal(read.metadata.generation, undefined);
    });

    it("updates the spec and leaves the status, counting generations", async () => {
      const created = await harness.store.create(samples, sample());
      const withStatus = await harness.store.updateStatus(samples, { ...created, status: { text: "seen" } });
      const updated = await harness.store.update(samples, {
        ...withStatus,
        spec: { text: "second" },
        status: { text: "not from here" },
      });
      assert.deepEqual([updated.spec, updated.status], [{ text: "second" }, { text: "seen" }]);
      assert.equal(updated.metadata.generation, 2);
      assert.equal(updated.metadata.uid, created.metadata.uid);
      assert.equal(updated.metadata.creationTimestamp, created.metadata.creationTimestamp);
      assert.notEqual(updated.metadata.resourceVersion, withStatus.metadata.resourceVersion);
    });

    it("does not count a change of labels as a generation", async () => {
      const created = await harness.store.create(samples, sample());
      const updated = await harness.store.update(samples, {
        ...created,
        metadata: { ...created.metadata, labels: { app: "x" } },
      });
      assert.equal(updated.metadata.generation, 1);
      assert.deepEqual(updated.metadata.labels, { app: "x" });
      assert.notEqual(updated.metadata.resourceVersion, created.metadata.resourceVersion);
    });

    it("updates the status and leaves spec and metadata", async () => {
      const created = await harness.store.create(samples, sample());
      const updated = await harness.store.updateStatus(samples, {
        ...created,
        metadata: { ...created.metadata, labels: { app: "not from here" } },
        spec: { text: "not from here" },
        status: { text: "seen" },
      });
      assert.deepEqual([updated.spec, updated.status], [{ text: "first" }, { text: "seen" }]);
      assert.equal(updated.metadata.generation, 1);
      assert.equal(updated.metadata.labels, undefined);
      assert.notEqual(updated.metadata.resourceVersion, created.metadata.resourceVersion);
    });

    it("keeps the resourceVersion when nothing changes", async () => {
      const created = await harness.store.create(samples, sample());
      const updated = await harness.store.update(samples, created);
      assert.equal(updated.metadata.resourceVersion, created.metadata.resourceVersion);
    });

    it("refuses a write from a stale copy, of spec and of status", async () => {
      const created = await harness.store.create(samples, sample());
      const { name } = created.metadata;
      await harness.store.update(samples, { ...created, spec: { text: "second" } });
      const message = `Operation cannot be fulfilled on samples.conformance.lanyard.test "${name}": the object has been modified; please apply your changes to the latest version and try again`;
      await refused(
        harness.store.update(samples, { ...created, spec: { text: "lost" } }),
        409,
        "Conflict",
        message,
      );
      await refused(
        harness.store.updateStatus(samples, { ...created, status: { text: "lost" } }),
        409,
        "Conflict",
        message,
      );
      assert.deepEqual((await harness.store.get(samples, { name })).spec, { text: "second" });
    });

    it("lets one of several writers win", async () => {
      const created = await harness.store.create(samples, sample());
      const results = await Promise.allSettled(
        ["a", "b", "c", "d"].map((text) => harness.store.update(samples, { ...created, spec: { text } })),
      );
      assert.equal(results.filter(({ status }) => status === "fulfilled").length, 1);
    });

    it("refuses to create what exists", async () => {
      const given = secret();
      await harness.store.create(secrets, given);
      await refused(
        harness.store.create(secrets, given),
        409,
        "AlreadyExists",
        `secrets "${given.metadata.name}" already exists`,
      );
    });

    it("refuses to read, update and delete what does not exist", async () => {
      const { store } = harness;
      const text = 'samples.conformance.lanyard.test "nobody" not found';
      await refused(store.get(samples, { name: "nobody" }), 404, "NotFound", text);
      await refused(store.delete(samples, { name: "nobody" }), 404, "NotFound", text);
      await refused(
        store.get(secrets, { namespace: harness.namespace, name: "nobody" }),
        404,
        "NotFound",
        'secrets "nobody" not found',
      );
      const gone = await store.create(samples, sample());
      await store.delete(samples, { name: gone.metadata.name });
      const goneText = `samples.conformance.lanyard.test "${gone.metadata.name}" not found`;
      await refused(
        store.updateStatus(samples, { ...gone, status: { text: "x" } }),
        404,
        "NotFound",
        goneText,
      );
    });

    it("gives a new uid to an object that is created again", async () => {
      const given = secret();
      const first = await harness.store.create(secrets, given);
      await harness.store.delete(secrets, keyOfSecret(given));
      const second = await harness.store.create(secrets, given);
      assert.notEqual(second.metadata.uid, first.metadata.uid);
      assert.notEqual(second.metadata.resourceVersion, first.metadata.resourceVersion);
    });

    it("deletes only what the preconditions name", async () => {
      const created = await harness.store.create(secrets, secret());
      const key = keyOfSecret(created);
      const { name, uid = "", resourceVersion = "" } = created.metadata;
      const start = `Operation cannot be fulfilled on Secret "${name}": the`;
      const zero = "00000000-0000-0000-0000-000000000000";
      await refused(
        harness.store.delete(secrets, key, { uid: zero }),
        409,
        "Conflict",
        `${start} UID in the precondition (${zero}) does not match the UID in record (${uid}). The object might have been deleted and then recreated`,
      );
      await refused(
        harness.store.delete(secrets, key, { resourceVersion: "1" }),
        409,
        "Conflict",
        `${start} ResourceVersion in the precondition (1) does not match the ResourceVersion in record (${resourceVersion}). The object might have been modified`,
      );
      await harness.store.delete(secrets, key, { uid, resourceVersion });
      await assert.rejects(harness.store.get(secrets, key));
    });

    it("names the kind with its group when a precondition fails", async () => {
      const created = await harness.store.create(samples, sample());
      const { name, resourceVersion = "" } = created.metadata;
      await refused(
        harness.store.delete(samples, { name }, { resourceVersion: "1" }),
        409,
        "Conflict",
        `Operation cannot be fulfilled on Sample.conformance.lanyard.test "${name}": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (${resourceVersion}). The object might have been modified`,
      );
    });

    it("refuses a write meant for an object that was replaced", async () => {
      const created = await harness.store.create(samples, sample());
      const { name, uid = "" } = created.metadata;
      const zero = "00000000-0000-0000-0000-000000000000";
      await refused(
        harness.store.update(samples, { ...created, metadata: { ...created.metadata, uid: zero } }),
        409,
        "Conflict",
        // An API server adds where it keeps the object.
        new RegExp(
          `^Operation cannot be fulfilled on samples\\.conformance\\.lanyard\\.test "${name}": .*Precondition failed: UID in precondition: ${zero}, UID in object meta: ${uid}$`,
        ),
      );
    });

    it("refuses an update of a custom resource that names no resourceVersion", async () => {
      const created = await harness.store.create(samples, sample());
      const { resourceVersion: _resourceVersion, ...metadata } = created.metadata;
      await refused(
        harness.store.update(samples, { ...created, metadata }),
        422,
        "Invalid",
        `samples.conformance.lanyard.test "${metadata.name}" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update`,
      );
    });

    it("tells a view's listeners the key of what was added, changed and deleted", async () => {
      const view = harness.store.view(secrets, { namespace: harness.namespace });
      const given = secret();
      const key = keyOfSecret(given);
      view.subscribe(() => {
        throw new Error("a listener that fails");
      });
      await seen(
        view,
        key,
        () => harness.store.create(secrets, given),
        (object) => object !== undefined,
      );
      assert.equal(view.hasSynced(), true);
      await seen(
        view,
        key,
        async () => harness.store.update(secrets, { ...(view.get(key) ?? given), data: { key: "Mg==" } }),
        (object) => object?.data?.["key"] === "Mg==",
      );
      assert.ok(view.list().some(({ metadata }) => metadata.name === key.name));
      await seen(
        view,
        key,
        () => harness.store.delete(secrets, key),
        (object) => object === undefined,
      );
    });

    it("shows in a view only what its selectors and its namespace take in", async () => {
      const red = secret({ colour: "red" });
      const blue = secret({ colour: "blue" });
      const scope = { namespace: harness.namespace, labelSelector: "colour=red" };
      const reds = harness.store.view(secrets, scope);
      assert.equal(harness.store.view(secrets, scope), reds, "views are shared");
      const named = harness.store.view(secrets, {
        namespace: harness.namespace,
        fieldSelector: `metadata.name=${blue.metadata.name}`,
      });
      const elsewhere = harness.store.view(secrets, { namespace: "kube-public" });
      await seen(
        named,
        keyOfSecret(blue),
        () => harness.store.create(secrets, blue),
        (object) => object !== undefined,
      );
      await seen(
        reds,
        keyOfSecret(red),
        () => harness.store.create(secrets, red),
        (object) => object !== undefined,
      );
      assert.deepEqual(
        reds.list().map(({ metadata }) => metadata.name),
        [red.metadata.name],
      );
      assert.deepEqual(
        named.list().map(({ metadata }) => metadata.name),
        [blue.metadata.name],
      );
      assert.deepEqual(elsewhere.get(keyOfSecret(red)), undefined);
      const stored = reds.get(keyOfSecret(red)) ?? red;
      const { labels: _labels, ...metadata } = stored.metadata;
      await seen(
        reds,
        keyOfSecret(red),
        () => harness.store.update(secrets, { ...stored, metadata }),
        (object) => object === undefined,
      );
    });
  });
}

async function refused(
  call: Promise<unknown>,
  code: number,
  reason: string,
  message: string | RegExp,
): Promise<void> {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof KubernetesApiError, String(error));
    assert.deepEqual([error.httpStatus, error.reason], [code, reason]);
    if (typeof message === "string") {
      assert.equal(error.message, message);
    } else {
      assert.match(error.message, message);
    }
    return true;
  });
}

/** Waits until a view tells a key after which `test` holds; the test's own time limit ends a wait that is in vain. */
async function seen<T extends KubernetesObject>(
  view: ResourceView<T>,
  key: { readonly namespace: string; readonly name: string },
  act: () => Promise<unknown>,
  test: (object: T | undefined) => boolean,
): Promise<void> {
  const told = Promise.withResolvers<void>();
  const disconnect = view.subscribe((each) => {
    if (each.name === key.name && each.namespace === key.namespace && test(view.get(key))) {
      told.resolve();
    }
  });
  const keepAlive = setTimeout(() => told.reject(new Error(`no event for ${key.name}`)), 20_000);
  try {
    await act();
    await told.promise;
  } finally {
    clearTimeout(keepAlive);
    disconnect();
  }
}
