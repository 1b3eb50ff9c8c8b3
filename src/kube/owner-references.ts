import { LanyardError, messageOf } from "../errors.ts";
import type { KubernetesClient } from "./kubernetes-client.ts";
import type { KubernetesObject, OwnerReference } from "./objects.ts";
import { apiServices, deployments, pods, replicaSets, type Deployment } from "./resources.ts";

/** Who owns what this installation creates, so that deleting it takes everything along (contract 6.7). */
export interface InstallationOwners {
  /** The Deployment that this Pod belongs to, as it was at start. */
  readonly deployment: Deployment;
  /** The Deployment for objects in its own namespace, else the login APIService: owners cannot be in another namespace. */
  ownerReference(namespace: string | undefined): OwnerReference;
}

export interface InstallationOwnersOptions {
  readonly client: Pick<KubernetesClient, "get">;
  /** Of this Pod, from the downward API. */
  readonly podName: string;
  readonly namespace: string;
  /** `v1alpha1.login.concierge.<suffix>`, in the form that the cluster knows. */
  readonly loginApiServiceName: string;
  readonly signal?: AbortSignal;
}

/**
 * Own Pod, its ReplicaSet, its Deployment, and the login APIService.
 *
 * @throws LanyardError `installation.owner.unresolved`, which is fatal at start (contract 9.1).
 */
export async function resolveInstallationOwners(
  options: InstallationOwnersOptions,
): Promise<InstallationOwners> {
  const { client, podName, namespace, loginApiServiceName, signal } = options;

  const read = async <T>(what: string, call: () => Promise<T>, remedy: string): Promise<T> => {
    try {
      return await call();
    } catch (error) {
      throw unresolved(`cannot read ${what}: ${messageOf(error)}; ${remedy}`, error);
    }
  };
  const rightsRemedy = (resource: string): string =>
    `the ServiceAccount needs "get" on ${resource} in this namespace`;
  const controller = (object: KubernetesObject, kind: string, what: string): OwnerReference => {
    const owner = object.metadata.ownerReferences?.find(
      (candidate) =>
        candidate.kind === kind && candidate.apiVersion === "apps/v1" && candidate.controller === true,
    );
    if (owner === undefined) {
      throw unresolved(`${what} is not controlled by a ${kind}; run the Pod through an apps/v1 Deployment`);
    }
    return owner;
  };
  const checkUid = (object: KubernetesObject, expected: string, what: string): void => {
    if (object.metadata.uid !== expected) {
      throw unresolved(`${what} was replaced by another of that name; restart this Pod`);
    }
  };

  const podText = `Pod ${namespace}/${podName}`;
  const pod = await read(
    podText,
    () => client.get(pods, { namespace, name: podName }, signal),
    `${rightsRemedy("pods")}, and the downward API file "name" must hold this Pod's name`,
  );
  const replicaSetOwner = controller(pod, "ReplicaSet", podText);
  const replicaSetText = `ReplicaSet ${namespace}/${replicaSetOwner.name}`;
  const replicaSet = await read(
    replicaSetText,
    () => client.get(replicaSets, { namespace, name: replicaSetOwner.name }, signal),
    rightsRemedy("replicasets.apps"),
  );
  checkUid(replicaSet, replicaSetOwner.uid, replicaSetText);
  const deploymentOwner = controller(replicaSet, "Deployment", replicaSetText);
  const deploymentText = `Deployment ${namespace}/${deploymentOwner.name}`;
  const deployment = await read(
    deploymentText,
    () => client.get(deployments, { namespace, name: deploymentOwner.name }, signal),
    rightsRemedy("deployments.apps"),
  );
  checkUid(deployment, deploymentOwner.uid, deploymentText);
  const apiService = await read(
    `APIService ${loginApiServiceName}`,
    () => client.get(apiServices, { name: loginApiServiceName }, signal),
    `install it with the chart, and give the ServiceAccount "get" on apiservices.apiregistration.k8s.io`,
  );

  const ofDeployment = reference("apps/v1", "Deployment", deployment);
  const ofApiService = reference("apiregistration.k8s.io/v1", "APIService", apiService);
  return {
    deployment,
    ownerReference: (created) => (created === namespace ? ofDeployment : ofApiService),
  };
}

function reference(apiVersion: string, kind: string, object: KubernetesObject): OwnerReference {
  return { apiVersion, kind, name: object.metadata.name, uid: object.metadata.uid ?? "" };
}

function unresolved(message: string, cause?: unknown): LanyardError {
  return new LanyardError({ code: "installation.owner.unresolved", message, cause });
}
