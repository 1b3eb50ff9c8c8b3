import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { KubernetesApiError } from "./api-error.ts";
import type { KubernetesClient } from "./kubernetes-client.ts";
import type { KubernetesObject, ObjectKey, ResourceType } from "./objects.ts";
import { resolveInstallationOwners } from "./owner-references.ts";

const controlledBy = (kind: string, name: string): KubernetesObject["metadata"]["ownerReferences"] => [
  { apiVersion: "example.com/v1", kind, name: "not me", uid: "0", controller: true },
  { apiVersion: "apps/v1", kind, name, uid: `${name}-uid`, controller: true },
];
const objectOf = (kind: string, name: string, more: object = {}): KubernetesObject => ({
  apiVersion: "v1",
  kind,
  metadata: { name, uid: `${name}-uid`, ...more },
});

function clusterOf(
  changes: Record<string, KubernetesObject | undefined> = {},
): Pick<KubernetesClient, "get"> {
  const objects: Record<string, KubernetesObject | undefined> = {
    "pods ns/p": objectOf("Pod", "p", { ownerReferences: controlledBy("ReplicaSet", "rs") }),
    "replicasets ns/rs": objectOf("ReplicaSet", "rs", { ownerReferences: controlledBy("Deployment", "d") }),
    "deployments ns/d": objectOf("Deployment", "d"),
    "apiservices /v1alpha1.login.concierge.example.com": objectOf("APIService", "login"),
    ...changes,
  };
  return {
    get: <T extends KubernetesObject>(resource: ResourceType<T>, key: ObjectKey) => {
      const found = objects[`${resource.plural} ${key.namespace ?? ""}/${key.name}`];
      return found === undefined
        ? Promise.reject(
            new KubernetesApiError({
              kind: "Status",
              apiVersion: "v1",
              metadata: {},
              reason: "NotFound",
              code: 404,
              message: `"${key.name}" not found`,
            }),
          )
        : Promise.resolve(found as T);
    },
  };
}

const resolve = (client: Pick<KubernetesClient, "get">): ReturnType<typeof resolveInstallationOwners> =>
  resolveInstallationOwners({
    client,
    podName: "p",
    namespace: "ns",
    loginApiServiceName: "v1alpha1.login.concierge.example.com",
  });

describe("the owners of what is created", () => {
  it("are the Deployment in its namespace and the APIService elsewhere", async () => {
    const owners = await resolve(clusterOf());
    assert.equal(owners.deployment.metadata.name, "d");
    assert.deepEqual(owners.ownerReference("ns"), {
      apiVersion: "apps/v1",
      kind: "Deployment",
      name: "d",
      uid: "d-uid",
    });
    const ofApiService = {
      apiVersion: "apiregistration.k8s.io/v1",
      kind: "APIService",
      name: "login",
      uid: "login-uid",
    };
    assert.deepEqual(owners.ownerReference("other"), ofApiService);
    assert.deepEqual(owners.ownerReference(undefined), ofApiService);
  });

  it("are fatal when they do not resolve, with cause and remedy", async () => {
    for (const [changes, message] of [
      [{ "pods ns/p": undefined }, /cannot read Pod ns\/p: "p" not found; .*"get" on pods .*downward API/],
      [
        { "pods ns/p": objectOf("Pod", "p") },
        /Pod ns\/p is not controlled by a ReplicaSet; run the Pod through/,
      ],
      [{ "replicasets ns/rs": undefined }, /cannot read ReplicaSet ns\/rs/],
      [{ "replicasets ns/rs": objectOf("ReplicaSet", "rs") }, /not controlled by a Deployment/],
      [
        { "deployments ns/d": objectOf("Deployment", "d", { uid: "new" }) },
        /was replaced by another of that name/,
      ],
      [
        { "apiservices /v1alpha1.login.concierge.example.com": undefined },
        /cannot read APIService v1alpha1.login.concierge.example.com: .*install it with the chart/,
      ],
    ] as const) {
      await assert.rejects(resolve(clusterOf(changes)), (error: Error & { code?: string }) => {
        assert.equal(error.code, "installation.owner.unresolved");
        assert.match(error.message, message);
        return true;
      });
    }
  });
});
