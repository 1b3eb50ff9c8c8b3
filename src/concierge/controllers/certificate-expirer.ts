import type { Clock } from "../../clock.ts";
import { isConflict, isNotFound } from "../../kube/api-error.ts";
import type { Controller } from "../../kube/controller.ts";
import { secrets } from "../../kube/objects.ts";
import type { ResourceStore } from "../../kube/resource-store.ts";
import type { Logger } from "../../telemetry/log.ts";
import { decideRenewal } from "./serving-certificate-renewal.ts";

/** Certificates live for months: nothing is gained by a timer for longer than this, and timers have a limit. */
const LONGEST_REQUEUE_MILLISECONDS = 60 * 60 * 1000;

/**
 * Deletes the serving certificate's Secret when a new one is due, so that it is made anew (contract 6.3). Replicas go on
 * with what they have until the new CA is published (clarification 14).
 */
export function createCertificateExpirer(options: {
  readonly store: ResourceStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly namespace: string;
  readonly secretName: string;
  /** An age since NotBefore. */
  readonly renewBeforeSeconds: number;
}): Controller {
  const { store, clock, namespace, secretName } = options;
  const key = { namespace, name: secretName };
  const view = store.view(secrets, { namespace });
  return {
    name: "certs-expirer-controller",
    watch: (enqueue) => view.subscribe((changed) => changed.name === secretName && enqueue()),
    reconcile: async () => {
      const secret = view.get(key);
      if (secret === undefined) {
        return {};
      }
      const renewal = decideRenewal(secret, options.renewBeforeSeconds, clock.now());
      if (!renewal.due) {
        return { requeueAfterMilliseconds: Math.min(renewal.inMilliseconds, LONGEST_REQUEUE_MILLISECONDS) };
      }
      const { uid, resourceVersion } = secret.metadata;
      try {
        await store.delete(secrets, key, {
          ...(uid === undefined ? {} : { uid }),
          ...(resourceVersion === undefined ? {} : { resourceVersion }),
        });
        options.log.info("deleted certificate authority that is due", {
          secret: secretName,
          reason: renewal.reason,
        });
      } catch (error) {
        // It is another Secret by now, or none; the event is on its way.
        if (!isNotFound(error) && !isConflict(error)) {
          throw error;
        }
      }
      return {};
    },
  };
}
