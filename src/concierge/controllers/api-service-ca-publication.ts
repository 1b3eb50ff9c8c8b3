import type { Clock } from "../../clock.ts";
import type { ResourceStore } from "../../kube/resource-store.ts";
import { apiServices } from "../../kube/resources.ts";
import type { ApiService } from "../../kube/resources.ts";
import { parseCertificateBundle } from "../../pki/certificate.ts";

/** Which CAs the aggregator trusts for us, as this replica's caches see it. */
export interface CaPublication {
  /**
   * Since when all our APIServices have held the CA; undefined while one does not. `sinceStart`: they held it, and no
   * other, when this process looked first, so that no rotation was under way and the true time is earlier.
   */
  heldSince(caPem: string): { readonly milliseconds: number; readonly sinceStart: boolean } | undefined;
  /** Calls back when an APIService changed. */
  subscribe(listener: () => void): () => void;
  close(): void;
}

export interface CaPublicationOptions {
  readonly store: Pick<ResourceStore, "view">;
  readonly clock: Clock;
  /** `v1alpha1.login.concierge.<suffix>` and `v1alpha1.identity.concierge.<suffix>`, as the cluster knows them. */
  readonly apiServiceNames: readonly string[];
  /** An APIService that points at another namespace belongs to another installation and does not count (contract 6.3). */
  readonly namespace: string;
}

/** The CAs in an APIService's `caBundle`, by SHA-256. */
export function bundleFingerprints(apiService: ApiService): ReadonlySet<string> {
  return new Set(parseCertificateBundle(bundlePem(apiService)).map(({ sha256Hex }) => sha256Hex));
}

/** `caBundle` as PEM; empty without one. */
export function bundlePem(apiService: ApiService): string {
  return Buffer.from(apiService.spec?.caBundle ?? "", "base64").toString("utf8");
}

export function belongsTo(apiService: ApiService, namespace: string): boolean {
  return apiService.spec?.service?.namespace === namespace;
}

/** Watches the APIServices' `caBundle` (A8: a certificate is served only after its CA was published). */
export function createCaPublication(options: CaPublicationOptions): CaPublication {
  const { clock, namespace } = options;
  const views = options.apiServiceNames.map((name) => ({
    name,
    view: options.store.view(apiServices, { fieldSelector: `metadata.name=${name}` }),
  }));
  const held = new Map<string, { milliseconds: number; sinceStart: boolean }>();
  const listeners = new Set<() => void>();
  let looked = false;

  const look = (): void => {
    if (!views.every(({ view }) => view.hasSynced())) {
      return;
    }
    const present = views.map(({ name, view }) => view.get({ name }));
    const ours = present.filter((each) => each === undefined || belongsTo(each, namespace));
    const sets = ours.map((each) => (each === undefined ? new Set<string>() : bundleFingerprints(each)));
    const common = [...(sets[0] ?? [])].filter((fingerprint) => sets.every((set) => set.has(fingerprint)));
    for (const fingerprint of held.keys()) {
      if (!common.includes(fingerprint)) {
        held.delete(fingerprint);
      }
    }
    for (const fingerprint of common) {
      if (!held.has(fingerprint)) {
        held.set(fingerprint, {
          milliseconds: clock.now(),
          sinceStart: !looked && sets.every(({ size }) => size === 1),
        });
      }
    }
    looked = true;
  };
  const nothingIsOurs = (): boolean =>
    views.every(({ name, view }) => {
      const each = view.get({ name });
      return each !== undefined && !belongsTo(each, namespace);
    });
  const unsubscribe = views.map(({ view }) =>
    view.subscribe(() => {
      look();
      for (const listener of [...listeners]) {
        listener();
      }
    }),
  );
  return {
    heldSince: (caPem) => {
      look();
      if (looked && nothingIsOurs()) {
        return { milliseconds: 0, sinceStart: true };
      }
      const [ca] = parseCertificateBundle(caPem);
      return ca === undefined ? undefined : held.get(ca.sha256Hex);
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => {
      for (const each of unsubscribe) {
        each();
      }
    },
  };
}
