import { isNotFound } from "../../kube/api-error.ts";
import type { Controller } from "../../kube/controller.ts";
import { secrets } from "../../kube/objects.ts";
import type { ResourceStore } from "../../kube/resource-store.ts";
import type { Logger } from "../../telemetry/log.ts";
import { isNotLeader } from "../../kube/not-leader.ts";

const NAME = "legacy-service-account-token-cleanup-controller";

/**
 * Deletes the long-lived token that old versions made for the impersonation proxy's ServiceAccount (contract 6.1). A
 * Secret of that name and any other type is somebody else's.
 */
export function createLegacyServiceAccountTokenCleanup(options: {
  readonly store: ResourceStore;
  readonly log: Logger;
  readonly namespace: string;
  /** `names.impersonationProxyLegacySecret`. */
  readonly secretName: string;
}): Controller {
  const { store, namespace, secretName } = options;
  const log = options.log.named(NAME);
  const key = { namespace, name: secretName };
  const view = store.view(secrets, { namespace });
  return {
    name: NAME,
    watch: (enqueue) => view.subscribe(({ name }) => name === secretName && enqueue()),
    reconcile: async () => {
      const secret = view.get(key);
      if (secret?.type !== "kubernetes.io/service-account-token") {
        return;
      }
      const { uid, resourceVersion } = secret.metadata;
      try {
        await store.delete(secrets, key, {
          ...(uid === undefined ? {} : { uid }),
          ...(resourceVersion === undefined ? {} : { resourceVersion }),
        });
        log.info("deleted legacy token", { secret: secretName });
      } catch (error) {
        if (!isNotFound(error) && !isNotLeader(error)) {
          throw error;
        }
      }
    },
  };
}
