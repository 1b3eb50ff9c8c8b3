import { messageOf } from "../../../errors.ts";
import { goQuote } from "../../../go-text.ts";
import type { Secret } from "../../../kube/objects.ts";
import type { ResourceView } from "../../../kube/resource-store.ts";
import { parseSigningAuthority } from "../../../pki/key-pair.ts";
import type { KeyPair } from "../../state/concierge-state.ts";
import type { ReadonlyHolder } from "../../state/holder.ts";
import { PROXY_SIGNER_NAME } from "../../state/state.ts";
import { SECRET_KEYS, secretTexts } from "../serving-certificate-secret.ts";
import { pending, setupFault } from "./setup-fault.ts";

const LOAD_PREFIX = "could not load the impersonator's credential signing secret: ";
const SET_PREFIX = "could not set the impersonator's credential signing secret: ";

/**
 * Throws unless this replica has the CA that signs for the proxy. Another controller makes and loads it; while it has not
 * yet, the fault is one that passes, so that nobody gives up in the first seconds after an install (contract 5.3, 13.7).
 */
export function requireProxySigner(
  view: Pick<ResourceView<Secret>, "get">,
  key: { readonly namespace: string; readonly name: string },
  holder: Pick<ReadonlyHolder<KeyPair | undefined>, "current">,
): void {
  const secret = view.get(key);
  if (secret === undefined) {
    throw pending(`${LOAD_PREFIX}secret ${goQuote(key.name)} not found`);
  }
  const texts = secretTexts(secret);
  try {
    parseSigningAuthority({
      certificatePem: texts[SECRET_KEYS.caCertificate] ?? "",
      privateKeyPem: texts[SECRET_KEYS.caPrivateKey] ?? "",
    });
  } catch (error) {
    throw setupFault(
      `${SET_PREFIX}${PROXY_SIGNER_NAME}: attempt to set invalid key pair: ${messageOf(error)}`,
      error,
    );
  }
  if (holder.current === undefined) {
    throw pending(`${LOAD_PREFIX}secret ${goQuote(key.name)} is not loaded yet`);
  }
}
