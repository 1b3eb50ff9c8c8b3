import { isAlreadyExists } from "../../kube/api-error.ts";
import type { Controller } from "../../kube/controller.ts";
import { secrets } from "../../kube/objects.ts";
import type { ResourceStore } from "../../kube/resource-store.ts";
import type { Logger } from "../../telemetry/log.ts";
import { secretData } from "./serving-certificate-secret.ts";

export interface CertificateManagerOptions {
  readonly store: ResourceStore;
  readonly log: Logger;
  readonly namespace: string;
  readonly secretName: string;
  /** The configuration's labels. */
  readonly labels: Readonly<Record<string, string>>;
  /** Makes the Secret's content as texts. */
  readonly generate: () => Promise<Readonly<Record<string, string>>>;
}

/** Creates a Secret with a new CA when it is absent; whole, never repaired in part (contract 6.3). */
export function createCertificateManager(options: CertificateManagerOptions): Controller {
  const { store, namespace, secretName } = options;
  const key = { namespace, name: secretName };
  const view = store.view(secrets, { namespace });
  return {
    name: "certs-manager-controller",
    watch: (enqueue) => view.subscribe((changed) => changed.name === secretName && enqueue()),
    reconcile: async () => {
      if (!view.hasSynced() || view.get(key) !== undefined) {
        return;
      }
      try {
        await store.create(secrets, {
          apiVersion: "v1",
          kind: "Secret",
          metadata: { name: secretName, namespace, labels: options.labels },
          type: "Opaque",
          data: secretData(await options.generate()),
        });
        options.log.info("created certificate authority", { secret: secretName });
      } catch (error) {
        // The cache was behind; the event of that Secret is on its way.
        if (!isAlreadyExists(error)) {
          throw error;
        }
      }
    },
  };
}
