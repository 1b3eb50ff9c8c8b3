import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { Controller, ReconcileResult } from "../../kube/controller.ts";
import { secrets } from "../../kube/objects.ts";
import type { Secret } from "../../kube/objects.ts";
import type { ResourceStore } from "../../kube/resource-store.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { KeyPair } from "../state/concierge-state.ts";
import type { Holder } from "../state/holder.ts";
import type { ReadinessCheck } from "../state/readiness.ts";
import type { CaPublication } from "./api-service-ca-publication.ts";
import { readServingCertificate } from "./serving-certificate-secret.ts";
import type { ServingCertificate } from "./serving-certificate-secret.ts";

/** How long a published CA needs to reach every kube-apiserver's aggregator (clarification 14). */
export const SETTLE_MILLISECONDS = 10_000;

export interface ServingCertificateObserverOptions {
  readonly store: Pick<ResourceStore, "view">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly publication: CaPublication;
  readonly holder: Holder<KeyPair | undefined>;
  readonly namespace: string;
  readonly secretName: string;
  readonly metrics?: Pick<Metrics, "certificateLoaded">;
}

/**
 * Loads the serving certificate into this replica (contract 6.3). A loaded pair stays while the Secret is missing or
 * unusable, and until the aggregator trusts the next one (clarification 14, A8).
 */
export function createServingCertificateObserver(options: ServingCertificateObserverOptions): {
  readonly controller: Controller;
  readonly readiness: readonly ReadinessCheck[];
} {
  const { store, clock, log, publication, holder, namespace, secretName } = options;
  const view = store.view(secrets, { namespace });
  let loaded: ServingCertificate | undefined;
  let wasPublished = false;

  const load = (next: ServingCertificate): void => {
    holder.set(next.pair);
    loaded = next;
    options.metrics?.certificateLoaded("api_serving", next.notAfter);
    log.info("loaded serving certificate", { notAfter: next.notAfter.toISOString() });
  };
  const reconcile = (): Promise<ReconcileResult | void> => {
    const secret = view.get({ namespace, name: secretName });
    const next = secret === undefined ? undefined : readOrWarn(secret, clock.now(), log);
    if (next === undefined || (loaded !== undefined && isSame(loaded, next))) {
      return Promise.resolve();
    }
    const wait = timeUntilSwitch(loaded, next, publication, clock.now());
    if (wait === "unpublished") {
      return Promise.resolve();
    }
    if (wait > 0) {
      return Promise.resolve({ requeueAfterMilliseconds: wait });
    }
    load(next);
    return Promise.resolve();
  };
  const publicationProblem = (): string | undefined => {
    const held = loaded === undefined ? undefined : publication.heldSince(loaded.caPem);
    if (held === undefined) {
      return "the CA of the serving certificate is not published in the APIServices";
    }
    // Only a replica that joins waits: all replicas at once would leave nobody to serve.
    if (!wasPublished && !held.sinceStart && clock.now() - held.milliseconds < SETTLE_MILLISECONDS) {
      return "the CA of the serving certificate was published just now";
    }
    wasPublished = true;
    return undefined;
  };
  return {
    controller: {
      name: "certs-observer-controller",
      reconcile,
      watch: (enqueue) => {
        const disconnect = [
          view.subscribe((changed) => changed.name === secretName && enqueue()),
          publication.subscribe(enqueue),
        ];
        return () => {
          for (const each of disconnect) {
            each();
          }
        };
      },
    },
    readiness: [
      {
        name: "serving-certificate",
        problem: () => (holder.current === undefined ? "no serving certificate is loaded" : undefined),
      },
      { name: "ca-bundle", problem: publicationProblem },
    ],
  };
}

/** Milliseconds until `next` may be served; 0 or less: now. */
function timeUntilSwitch(
  loaded: ServingCertificate | undefined,
  next: ServingCertificate,
  publication: CaPublication,
  now: number,
): number | "unpublished" {
  if (loaded === undefined) {
    return 0;
  }
  const held = publication.heldSince(next.caPem);
  if (held === undefined) {
    return "unpublished";
  }
  // What nobody trusts any more is not worth holding on to.
  const loadedStillWorks =
    loaded.notAfter.getTime() > now && publication.heldSince(loaded.caPem) !== undefined;
  return loadedStillWorks ? held.milliseconds + SETTLE_MILLISECONDS - now : 0;
}

function isSame(a: ServingCertificate, b: ServingCertificate): boolean {
  return (
    a.pair.certificatePem === b.pair.certificatePem &&
    a.pair.privateKeyPem === b.pair.privateKeyPem &&
    a.caPem === b.caPem
  );
}

function readOrWarn(secret: Secret, now: number, log: Logger): ServingCertificate | undefined {
  try {
    return readServingCertificate(secret, now);
  } catch (error) {
    log.warning("serving certificate cannot be used, keeping the loaded one", { reason: messageOf(error) });
    return undefined;
  }
}
