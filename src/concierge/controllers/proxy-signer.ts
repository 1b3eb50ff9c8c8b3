import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { Controller } from "../../kube/controller.ts";
import { secrets } from "../../kube/objects.ts";
import type { ResourceStore } from "../../kube/resource-store.ts";
import { createCertificateAuthority } from "../../pki/certificate-authority.ts";
import { parseCertificateBundle } from "../../pki/certificate.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { KeyPair } from "../state/concierge-state.ts";
import type { Holder } from "../state/holder.ts";
import { createCertificateManager } from "./certificate-manager.ts";
import { BACKDATE_MILLISECONDS, SECRET_KEYS, secretTexts } from "./serving-certificate-secret.ts";

const COMMON_NAME = "Pinniped Impersonation Proxy Signer CA";
const LIFETIME_MILLISECONDS = 365 * 24 * 60 * 60 * 1000;

export interface ProxySignerOptions {
  readonly store: ResourceStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly holder: Holder<KeyPair | undefined>;
  readonly namespace: string;
  /** `names.impersonationSignerSecret`. */
  readonly secretName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly metrics?: Pick<Metrics, "certificateLoaded">;
}

/**
 * The impersonation proxy's signing CA: created when absent (contract 6.2), loaded on every change, and dropped at once
 * when its Secret is deleted, which is the emergency brake of S10.
 */
export function createProxySignerControllers(options: ProxySignerOptions): readonly Controller[] {
  const manager = createCertificateManager({
    ...options,
    log: options.log.named("certs-manager-controller"),
    generate: async () => {
      const now = options.clock.now();
      const authority = await createCertificateAuthority({
        commonName: COMMON_NAME,
        notBefore: new Date(now - BACKDATE_MILLISECONDS),
        notAfter: new Date(now + LIFETIME_MILLISECONDS),
      });
      return {
        [SECRET_KEYS.caCertificate]: authority.certificatePem,
        [SECRET_KEYS.caPrivateKey]: authority.privateKeyPem,
      };
    },
  });
  return [createProxySignerObserver(options), manager];
}

function createProxySignerObserver(options: ProxySignerOptions): Controller {
  const { holder, namespace, secretName, metrics } = options;
  const log = options.log.named("proxy-signer-observer-controller");
  const view = options.store.view(secrets, { namespace });
  const observe = (): void => {
    const secret = view.get({ namespace, name: secretName });
    if (secret === undefined) {
      if (view.hasSynced() && holder.current !== undefined) {
        holder.set(undefined);
        metrics?.certificateLoaded("proxy_signer", undefined);
        log.warning("the signer's Secret is gone, its certificates are not trusted any more", {
          secret: secretName,
        });
      }
      return;
    }
    const texts = secretTexts(secret);
    const certificatePem = texts[SECRET_KEYS.caCertificate] ?? "";
    try {
      holder.set({ certificatePem, privateKeyPem: texts[SECRET_KEYS.caPrivateKey] ?? "" });
      metrics?.certificateLoaded("proxy_signer", parseCertificateBundle(certificatePem)[0]?.notAfter);
    } catch (error) {
      log.warning("the signer's Secret cannot be used, keeping what is loaded", { reason: messageOf(error) });
    }
  };
  return {
    name: "proxy-signer-observer-controller",
    watch: (enqueue) => view.subscribe((changed) => changed.name === secretName && enqueue()),
    reconcile: () => Promise.resolve(observe()),
  };
}
