import type { Clock } from "../../clock.ts";
import { LanyardError } from "../../errors.ts";
import type { Controller } from "../../kube/controller.ts";
import type { ResourceStore } from "../../kube/resource-store.ts";
import { createCertificateAuthority } from "../../pki/certificate-authority.ts";
import { parseCertificateBundle } from "../../pki/certificate.ts";
import type { Certificate } from "../../pki/certificate.ts";
import { parseSigningAuthority } from "../../pki/key-pair.ts";
import { encodePem } from "../../pki/pem.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { Metrics } from "../../telemetry/metrics.ts";
import type { KeyPair } from "../state/concierge-state.ts";
import type { CredentialSettings } from "../state/credential-settings.ts";
import type { Holder, ReadonlyHolder } from "../state/holder.ts";
import type { ReadinessCheck } from "../state/readiness.ts";
import { createRotatingKeyObserver } from "./rotating-key-observer.ts";
import { createRotatingKeyRotator } from "./rotating-key-rotator.ts";
import type { RotatingKeyKind } from "./rotating-key.ts";
import { BACKDATE_MILLISECONDS, SECRET_KEYS } from "./serving-certificate-secret.ts";

const COMMON_NAME = "Pinniped Impersonation Proxy Signer CA";
const HOUR_MILLISECONDS = 60 * 60 * 1000;
const LIFETIME_MILLISECONDS = 365 * 24 * HOUR_MILLISECONDS;
/** An age since NotBefore (contract 6.3). */
const ROTATION_AGE_MILLISECONDS = LIFETIME_MILLISECONDS - HOUR_MILLISECONDS;

export interface ProxySignerCaOptions {
  readonly store: ResourceStore;
  readonly clock: Clock;
  readonly log: Logger;
  /** What signs now. */
  readonly proxySigningKey: Holder<KeyPair | undefined>;
  /** PEM of what is trusted now. */
  readonly proxySignerTrust: Holder<string | undefined>;
  readonly credentialSettings: ReadonlyHolder<CredentialSettings>;
  readonly namespace: string;
  /** `names.impersonationSignerSecret`. */
  readonly secretName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly metrics?: Pick<Metrics, "certificateLoaded">;
}

const kind: RotatingKeyKind<Certificate, KeyPair> = {
  what: "impersonation proxy signer",
  generate: async (now) => {
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
  read: (texts) => {
    const signing = {
      certificatePem: texts[SECRET_KEYS.caCertificate] ?? "",
      privateKeyPem: texts[SECRET_KEYS.caPrivateKey] ?? "",
    };
    const { certificate } = parseSigningAuthority(signing);
    return { ...trusted(certificate), signing };
  },
  readTrusted: (pem) => {
    const [certificate, ...others] = parseCertificateBundle(pem);
    if (certificate?.isCa !== true || others.length > 0) {
      throw new LanyardError({ code: "proxySigner.previous", message: "it is not one CA certificate" });
    }
    return trusted(certificate);
  },
  rotationDueAt: ({ value: { notBefore, notAfter } }) =>
    Math.min(notBefore.getTime() + ROTATION_AGE_MILLISECONDS, notAfter.getTime()),
};

/** The PEM is made anew, so that nothing that stood beside the certificate gets into a bundle. */
function trusted(certificate: Certificate): { id: string; pem: string; value: Certificate } {
  return {
    id: certificate.sha256Hex,
    pem: encodePem("CERTIFICATE", certificate.der),
    value: certificate,
  };
}

/**
 * The impersonation proxy's signing CA (contract 2.4, 6.2): made when absent, rotated with an overlap at the age of contract
 * 6.3, and dropped at once when its Secret is deleted (S10, clarification 15). A pair that an administrator put into the
 * Secret is used like one of our own.
 */
export function createProxySignerCaControllers(options: ProxySignerCaOptions): {
  readonly controllers: readonly Controller[];
  readonly readiness: readonly ReadinessCheck[];
} {
  const { proxySigningKey, proxySignerTrust, metrics } = options;
  const observer = createRotatingKeyObserver({
    ...options,
    kind,
    log: options.log.named("proxy-signer"),
    publish: (keys) => {
      if (keys?.signing === undefined) {
        proxySigningKey.set(undefined);
      }
      // Trusted before it signs, and unloaded before it is trusted no more.
      proxySignerTrust.set(keys?.trusted.map(({ pem }) => pem).join(""));
      if (keys?.signing !== undefined) {
        proxySigningKey.set(keys.signing.signing);
      }
      metrics?.certificateLoaded("proxy_signer", keys?.signing?.value.notAfter);
    },
  });
  return {
    controllers: [
      observer.controller,
      createRotatingKeyRotator({ ...options, kind, log: options.log.named("proxy-signer") }),
    ],
    readiness: [observer.readiness],
  };
}
