import assert from "node:assert/strict";
import { test } from "node:test";
import { LanyardError } from "../../../errors.ts";
import { KubernetesApiError } from "../../../kube/api-error.ts";
import { secrets } from "../../../kube/objects.ts";
import type { Secret } from "../../../kube/objects.ts";
import { createSyncWrites } from "./sync-writes.ts";
import type { SyncWrites } from "./sync-writes.ts";

const secret: Secret = {
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "x", namespace: "ns", uid: "u", resourceVersion: "7" },
};

function failing(refusal: Error): SyncWrites {
  const fail = (): Promise<never> => Promise.reject(refusal);
  return createSyncWrites({ create: fail, update: fail, delete: fail });
}

test("what is deleted is exactly what was seen", async () => {
  const calls: unknown[] = [];
  const writes = createSyncWrites({
    create: () => Promise.reject(new TypeError("not asked for")),
    update: () => Promise.reject(new TypeError("not asked for")),
    delete: (_resource, key, preconditions) => {
      calls.push([key, preconditions]);
      return Promise.resolve();
    },
  });
  assert.equal(await writes.remove(secrets, secret), true);
  assert.deepEqual(calls, [
    [
      { name: "x", namespace: "ns" },
      { uid: "u", resourceVersion: "7" },
    ],
  ]);
});

test("what is gone already needs no deleting; other refusals are told", async () => {
  const refusal = (reason: string): KubernetesApiError =>
    new KubernetesApiError({ kind: "Status", apiVersion: "v1", metadata: {}, reason, message: reason });
  assert.equal(await failing(refusal("NotFound")).remove(secrets, secret), true);
  await assert.rejects(failing(refusal("Conflict")).remove(secrets, secret), { message: "Conflict" });
  await assert.rejects(failing(refusal("Forbidden")).create(secrets, secret), { message: "Forbidden" });
});

test("a replica that does not lead is told so by the answer, however deep the refusal is wrapped", async () => {
  const refused = new LanyardError({ code: "leadership.required", message: "not leader" });
  const wrapped = new LanyardError({ code: "other", message: "failed", cause: refused });
  for (const error of [refused, wrapped]) {
    const writes = failing(error);
    assert.equal(await writes.create(secrets, secret), undefined);
    assert.equal(await writes.update(secrets, secret), undefined);
    assert.equal(await writes.remove(secrets, secret), false);
  }
});
