import { isNotFound } from "../../../kube/api-error.ts";
import type { Controller } from "../../../kube/controller.ts";
import type { ResourceStore } from "../../../kube/resource-store.ts";
import { pods } from "../../../kube/resources.ts";
import type { Logger } from "../../../telemetry/log.ts";
import { isNotLeader } from "../../../kube/not-leader.ts";

const NAME = "legacy-pod-cleaner-controller";
const LEGACY_LABEL = "kube-cert-agent.pinniped.dev";

/** Deletes agents of old versions, which were Pods without a Deployment: those with all of `labels` (contract 6.5). */
export function createLegacyPodCleaner(options: {
  readonly store: ResourceStore;
  readonly log: Logger;
  readonly namespace: string;
  /** The configuration's labels. */
  readonly labels: Readonly<Record<string, string>>;
}): Controller {
  const { store, namespace } = options;
  const log = options.log.named(NAME);
  const wanted = Object.entries({ ...options.labels, [LEGACY_LABEL]: "true" });
  const view = store.view(pods, { namespace, labelSelector: `${LEGACY_LABEL}=true` });
  return {
    name: NAME,
    watch: (enqueue) => view.subscribe(() => enqueue()),
    reconcile: async () => {
      for (const { metadata } of view.list()) {
        if (!wanted.every(([key, value]) => metadata.labels?.[key] === value)) {
          continue;
        }
        const { name, uid, resourceVersion } = metadata;
        try {
          await store.delete(
            pods,
            { namespace, name },
            {
              ...(uid === undefined ? {} : { uid }),
              ...(resourceVersion === undefined ? {} : { resourceVersion }),
            },
          );
          log.info("deleted legacy agent pod", { pod: name });
        } catch (error) {
          if (!isNotFound(error) && !isNotLeader(error)) {
            throw error;
          }
        }
      }
    },
  };
}
