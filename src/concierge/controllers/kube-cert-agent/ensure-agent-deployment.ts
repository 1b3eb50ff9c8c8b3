import { isAlreadyExists } from "../../../kube/api-error.ts";
import type { ResourceStore, ResourceView } from "../../../kube/resource-store.ts";
import { deployments } from "../../../kube/resources.ts";
import type { Deployment } from "../../../kube/resources.ts";
import type { Logger } from "../../../telemetry/log.ts";
import { decideDeploymentChange } from "./agent-deployment-changes.ts";

/** Creates, updates or replaces the agent's Deployment; throws what the store throws. */
export async function ensureAgentDeployment(options: {
  readonly store: Pick<ResourceStore, "create" | "update" | "delete">;
  readonly view: ResourceView<Deployment>;
  readonly wanted: Deployment;
  readonly log: Logger;
}): Promise<void> {
  const { store, view, wanted, log } = options;
  const { name, namespace } = wanted.metadata;
  const key = { name, ...(namespace === undefined ? {} : { namespace }) };
  const existing = view.get(key);
  if (existing === undefined) {
    await create(store, wanted);
    log.info("created agent deployment", { deployment: name });
    return;
  }
  const change = decideDeploymentChange(existing, wanted);
  if (change.kind === "update") {
    await store.update(deployments, change.object);
    log.info("updated agent deployment", { deployment: name });
  } else if (change.kind === "replace") {
    const { uid, resourceVersion } = existing.metadata;
    await store.delete(deployments, key, {
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    });
    await create(store, wanted);
    log.info("replaced agent deployment", { deployment: name });
  }
}

async function create(store: Pick<ResourceStore, "create">, wanted: Deployment): Promise<void> {
  try {
    await store.create(deployments, wanted);
  } catch (error) {
    // The cache was behind; the event of that Deployment is on its way.
    if (!isAlreadyExists(error)) {
      throw error;
    }
  }
}
