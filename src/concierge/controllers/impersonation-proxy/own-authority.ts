import { messageOf } from "../../../errors.ts";
import { secrets } from "../../../kube/objects.ts";
import type { Secret } from "../../../kube/objects.ts";
import type { ResourceView } from "../../../kube/resource-store.ts";
import { createCertificateAuthority } from "../../../pki/certificate-authority.ts";
import { parseSigningAuthority } from "../../../pki/key-pair.ts";
import type { KeyPair } from "../../state/concierge-state.ts";
import { secretData, secretTexts } from "../serving-certificate-secret.ts";
import { setupFault } from "./setup-fault.ts";
import type { SyncWrites } from "./sync-writes.ts";

const COMMON_NAME = "Pinniped Impersonation Proxy Serving CA";
const DAY_MILLISECONDS = 24 * 60 * 60 * 1000;

/** A hundred years: the CA stands in people's kubeconfigs (contract 6.2). */
export const OWN_LIFETIME_MILLISECONDS = 100 * 365 * DAY_MILLISECONDS;
export const BACKDATE_MILLISECONDS = 5 * 60 * 1000;

/** The validity of what the proxy makes for itself, CA and leaf, from `now` in milliseconds since the epoch. */
export function ownValidity(now: number): { readonly notBefore: Date; readonly notAfter: Date } {
  return {
    notBefore: new Date(now - BACKDATE_MILLISECONDS),
    notAfter: new Date(now + OWN_LIFETIME_MILLISECONDS),
  };
}

/** Where a Secret of the proxy is. */
export interface OwnSecret {
  readonly view: Pick<ResourceView<Secret>, "get">;
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * The CA of the proxy's serving certificates from its Secret (`ca.crt`, `ca.key`), made when there is none (contract 6.6).
 * Undefined: there is none and this replica does not lead. One that cannot be used is never replaced: people's
 * kubeconfigs hold it.
 */
export async function ensureOwnAuthority(
  { view, namespace, name, labels }: OwnSecret,
  writes: SyncWrites,
  now: number,
): Promise<KeyPair | undefined> {
  const secret =
    view.get({ namespace, name }) ?? (await createSecret({ namespace, name, labels }, writes, now));
  if (secret === undefined) {
    return undefined;
  }
  const texts = secretTexts(secret);
  const pair = { certificatePem: texts["ca.crt"] ?? "", privateKeyPem: texts["ca.key"] ?? "" };
  try {
    parseSigningAuthority(pair);
  } catch (error) {
    throw setupFault(
      `Secret ${namespace}/${name} holds no usable certificate authority: ${messageOf(error)}; restore it, or delete it to have another one made that clients have to be told of`,
      error,
    );
  }
  return pair;
}

async function createSecret(
  { namespace, name, labels }: Omit<OwnSecret, "view">,
  writes: SyncWrites,
  now: number,
): Promise<Secret | undefined> {
  const authority = await createCertificateAuthority({ commonName: COMMON_NAME, ...ownValidity(now) });
  return await writes.create(secrets, {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace, labels },
    type: "Opaque",
    data: secretData({ "ca.crt": authority.certificatePem, "ca.key": authority.privateKeyPem }),
  });
}
