import type { Controller } from "../../kube/controller.ts";
import type { ResourceStore } from "../../kube/resource-store.ts";
import { credentialIssuers } from "../../resources/credential-issuer.ts";
import type { CredentialIssuerSpec } from "../../resources/credential-issuer-spec.ts";
import { defaultCredentialSettings } from "../state/credential-settings.ts";
import type { CredentialSettings } from "../state/credential-settings.ts";
import type { Holder } from "../state/holder.ts";

export interface CredentialSettingsOptions {
  readonly store: Pick<ResourceStore, "view">;
  /** `metadata.name` of the one CredentialIssuer that counts (contract 9.2 `names.credentialIssuer`). */
  readonly credentialIssuerName: string;
  readonly holder: Holder<CredentialSettings>;
}

/**
 * Follows the CredentialIssuer: what it says about credentials is in force from the next request on. Without the object, or
 * without a field, the defaults are.
 */
export function createCredentialSettingsController(options: CredentialSettingsOptions): Controller {
  const { store, credentialIssuerName, holder } = options;
  const view = store.view(credentialIssuers);
  return {
    name: "credential-settings-controller",
    watch: (enqueue) => view.subscribe(({ name }) => name === credentialIssuerName && enqueue()),
    reconcile: async () => {
      const settings = credentialSettingsOf(view.get({ name: credentialIssuerName })?.spec);
      if (JSON.stringify(settings) !== JSON.stringify(holder.current)) {
        holder.set(settings);
      }
    },
  };
}

/** The settings of a spec, defaults filled in (design.md section 5, S7). What contradicts itself is resolved at each credential. */
export function credentialSettingsOf(spec: CredentialIssuerSpec | undefined): CredentialSettings {
  const { lifetimes } = defaultCredentialSettings;
  const certificate = spec?.clientCertificate ?? {};
  const proxy = spec?.impersonationProxy;
  const lifetimeSeconds = certificate.lifetimeSeconds ?? lifetimes.lifetimeSeconds;
  return {
    lifetimes: {
      lifetimeSeconds,
      maximumLifetimeSeconds:
        certificate.maximumLifetimeSeconds ?? Math.max(lifetimes.maximumLifetimeSeconds, lifetimeSeconds),
      backdateSeconds: certificate.backdateSeconds ?? lifetimes.backdateSeconds,
      refreshLeadSeconds: certificate.refreshLeadSeconds ?? lifetimes.refreshLeadSeconds,
      boundToToken: certificate.boundToToken ?? lifetimes.boundToToken,
    },
    certificateSigningRequestApi: spec?.certificateSigningRequestAPI?.mode === "Enabled",
    proxyCredential: proxy?.credential ?? defaultCredentialSettings.proxyCredential,
    maximumStreamSeconds: proxy?.maximumStreamSeconds ?? defaultCredentialSettings.maximumStreamSeconds,
  };
}
