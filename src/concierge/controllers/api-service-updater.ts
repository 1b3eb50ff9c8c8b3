import type { Clock } from "../../clock.ts";
import { isConflict, isNotFound } from "../../kube/api-error.ts";
import type { Controller, ReconcileResult } from "../../kube/controller.ts";
import { secrets } from "../../kube/objects.ts";
import type { ResourceStore } from "../../kube/resource-store.ts";
import { apiServices } from "../../kube/resources.ts";
import type { Logger } from "../../telemetry/log.ts";
import { desiredCaBundle } from "./api-service-ca-bundle.ts";
import { belongsTo, bundlePem } from "./api-service-ca-publication.ts";
import type { CaPublication } from "./api-service-ca-publication.ts";
import { readServingCertificate } from "./serving-certificate-secret.ts";

/**
 * How long old CAs stay beside a new one, counted from when this process saw all APIServices with the new one: a moment
 * after the Secret was made, as a rule (clarification 14), and later when the publication was held up, so that replicas
 * always have had the time to switch.
 */
export const OVERLAP_MILLISECONDS = 60_000;

const CONFLICT_ATTEMPTS = 5;

export interface ApiServiceUpdaterOptions {
  readonly store: ResourceStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly publication: CaPublication;
  /** As the cluster knows it. */
  readonly apiServiceName: string;
  readonly namespace: string;
  readonly secretName: string;
}

/** Keeps one APIService's `caBundle` at the Secret's CA, with the old CAs beside it for a while (contract 6.3). */
export function createApiServiceUpdater(options: ApiServiceUpdaterOptions): Controller {
  const { store, clock, publication, apiServiceName, namespace, secretName } = options;
  const secretView = store.view(secrets, { namespace });
  const apiServiceView = store.view(apiServices, { fieldSelector: `metadata.name=${apiServiceName}` });

  /** Writes what is to be written; answers false when the object changed in between. */
  const write = async (caPem: string, overlapping: boolean): Promise<boolean> => {
    const present = await store.get(apiServices, { name: apiServiceName });
    const presentBundlePem = bundlePem(present);
    const desired = desiredCaBundle({ caPem, presentBundlePem, overlapping, now: clock.now() });
    if (!belongsTo(present, namespace) || present.spec === undefined || presentBundlePem === desired) {
      return true;
    }
    try {
      await store.update(apiServices, {
        ...present,
        spec: { ...present.spec, caBundle: Buffer.from(desired).toString("base64") },
      });
      options.log.info("published the CA bundle", { apiService: apiServiceName, overlapping });
      return true;
    } catch (error) {
      if (isConflict(error)) {
        return false;
      }
      throw error;
    }
  };

  const reconcile = async (): Promise<ReconcileResult | void> => {
    const secret = secretView.get({ namespace, name: secretName });
    const apiService = apiServiceView.get({ name: apiServiceName });
    // Another installation's APIService is left alone.
    if (secret === undefined || apiService === undefined || !belongsTo(apiService, namespace)) {
      return;
    }
    const now = clock.now();
    const caPem = usableCa(secret, now);
    if (caPem === undefined) {
      return;
    }
    const held = publication.heldSince(caPem);
    const overlapEndsIn = held === undefined ? undefined : held.milliseconds + OVERLAP_MILLISECONDS - now;
    const overlapping = overlapEndsIn === undefined || overlapEndsIn > 0;
    const presentBundlePem = bundlePem(apiService);
    if (desiredCaBundle({ caPem, presentBundlePem, overlapping, now }) !== presentBundlePem) {
      await retryOnConflict(() => write(caPem, overlapping));
    }
    // The cache may not know of the write yet, so that whether anything is left to remove is seen then.
    return overlapEndsIn !== undefined && overlapping
      ? { requeueAfterMilliseconds: overlapEndsIn }
      : undefined;
  };
  return {
    name: "api-service-updater-controller",
    reconcile,
    watch: (enqueue) => {
      const disconnect = [
        secretView.subscribe((changed) => changed.name === secretName && enqueue()),
        publication.subscribe(enqueue),
      ];
      return () => {
        for (const each of disconnect) {
          each();
        }
      };
    },
  };
}

/** A CA without a usable certificate is about to be replaced: it is not worth publishing. */
function usableCa(secret: Parameters<typeof readServingCertificate>[0], now: number): string | undefined {
  try {
    return readServingCertificate(secret, now).caPem;
  } catch {
    return undefined;
  }
}

async function retryOnConflict(attempt: () => Promise<boolean>): Promise<void> {
  for (let attempts = 1; attempts <= CONFLICT_ATTEMPTS; attempts++) {
    try {
      if (await attempt()) {
        return;
      }
    } catch (error) {
      // Gone meanwhile; there is nothing to keep up to date.
      if (isNotFound(error)) {
        return;
      }
      throw error;
    }
  }
  throw new Error("the APIService changed at every attempt to update it");
}
