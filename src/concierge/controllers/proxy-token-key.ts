import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import type { KeyObject } from "node:crypto";
import type { Clock } from "../../clock.ts";
import { LanyardError } from "../../errors.ts";
import type { Controller } from "../../kube/controller.ts";
import type { ResourceStore } from "../../kube/resource-store.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { CredentialSettings } from "../state/credential-settings.ts";
import type { Holder, ReadonlyHolder } from "../state/holder.ts";
import type { BearerKeys } from "../state/proxy.ts";
import type { ReadinessCheck } from "../state/readiness.ts";
import { createRotatingKeyObserver } from "./rotating-key-observer.ts";
import type { KeysInForce } from "./rotating-key-observer.ts";
import { createRotatingKeyRotator } from "./rotating-key-rotator.ts";
import type { RotatingKeyKind, TrustedKey } from "./rotating-key.ts";

const ROTATION_AGE_MILLISECONDS = 30 * 24 * 60 * 60 * 1000;
/** The only key of the Secret: the private key as PEM, from which the public one follows. */
const PRIVATE_KEY = "privateKey";

export interface ProxyTokenKeyOptions {
  readonly store: ResourceStore;
  readonly clock: Clock;
  readonly log: Logger;
  readonly bearerKeys: Holder<BearerKeys | undefined>;
  readonly credentialSettings: ReadonlyHolder<CredentialSettings>;
  readonly namespace: string;
  /** See `proxyTokenKeySecretName`. */
  readonly secretName: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** `<app>-impersonation-proxy-token-key` (S9), beside the signer's Secret, whose name the configuration file tells. */
export function proxyTokenKeySecretName(signerSecretName: string): string {
  return `${signerSecretName.replace(/-signer-ca-certificate$/, "")}-token-key`;
}

const kind: RotatingKeyKind<KeyObject, KeyObject> = {
  what: "impersonation proxy token key",
  generate: () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const pem = privateKey.export({ format: "pem", type: "pkcs8" });
    return Promise.resolve({ [PRIVATE_KEY]: pem });
  },
  read: (texts) => {
    let signing: KeyObject;
    try {
      signing = createPrivateKey(texts[PRIVATE_KEY] ?? "");
    } catch {
      // The cause could quote the key.
      throw unusable(`${PRIVATE_KEY} is not a private key in PEM`);
    }
    return { ...trusted(createPublicKey(signing)), signing };
  },
  readTrusted: (pem) => {
    if (pem.includes("PRIVATE KEY")) {
      throw unusable("it is a private key");
    }
    return trusted(createPublicKey(pem));
  },
  rotationDueAt: (_key, writtenAt) => writtenAt + ROTATION_AGE_MILLISECONDS,
};

function unusable(message: string): LanyardError {
  return new LanyardError({ code: "proxyTokenKey.unusable", message });
}

/** `id` is the `kid`: SHA-256 of the SubjectPublicKeyInfo, base64url. */
function trusted(publicKey: KeyObject): TrustedKey<KeyObject> {
  if (publicKey.asymmetricKeyDetails?.namedCurve !== "prime256v1") {
    throw unusable("it is not a P-256 key");
  }
  const spki = publicKey.export({ format: "der", type: "spki" });
  return {
    id: createHash("sha256").update(spki).digest("base64url"),
    pem: publicKey.export({ format: "pem", type: "spki" }),
    value: publicKey,
  };
}

/**
 * The key pair of bearer credentials (S9): its own, made when absent, rotated with an overlap every 30 days, and dropped
 * at once when its Secret is deleted (S10, clarification 15).
 */
export function createProxyTokenKeyControllers(options: ProxyTokenKeyOptions): {
  readonly controllers: readonly Controller[];
  readonly readiness: readonly ReadinessCheck[];
} {
  const { bearerKeys } = options;
  const log = options.log.named("proxy-token-key");
  let published = "";
  const observer = createRotatingKeyObserver({
    ...options,
    kind,
    log,
    publish: (keys) => {
      // Listeners hear of changes only: the keys are read anew at every look.
      const state = JSON.stringify([keys?.signing?.id, keys?.trusted.map(({ id }) => id)]);
      if (state !== published) {
        published = state;
        bearerKeys.set(keys === undefined ? undefined : bearerKeysOf(keys));
      }
    },
  });
  return {
    controllers: [observer.controller, createRotatingKeyRotator({ ...options, kind, log })],
    readiness: [observer.readiness],
  };
}

function bearerKeysOf({ signing, trusted: keys }: KeysInForce<KeyObject, KeyObject>): BearerKeys {
  return {
    signing: signing === undefined ? undefined : { kid: signing.id, privateKey: signing.signing },
    trusted: new Map(keys.map(({ id, value }) => [id, value])),
  };
}
