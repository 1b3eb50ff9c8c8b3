import { LanyardError, messageOf } from "../../errors.ts";
import { parseServingKeyPair, parseSigningAuthority } from "../../pki/key-pair.ts";
import type { KeyPair } from "./concierge-state.ts";
import { createHolder } from "./holder.ts";
import type { Holder } from "./holder.ts";

/**
 * A holder that takes only pairs that can be used (contract 6.4): certificate and key match, and a serving certificate is
 * not a CA while a signer is one. `set` throws `keyPair.invalid` for others and keeps what it has; a pair equal to the
 * present one is no change.
 */
export function createKeyPairHolder(
  name: string,
  purpose: "serving" | "signing",
): Holder<KeyPair | undefined> {
  const holder = createHolder<KeyPair | undefined>(undefined);
  const check = purpose === "serving" ? parseServingKeyPair : parseSigningAuthority;
  return {
    get current() {
      return holder.current;
    },
    subscribe: (listener) => holder.subscribe(listener),
    set: (pair) => {
      if (pair !== undefined && holder.current !== undefined && samePair(pair, holder.current)) {
        return;
      }
      if (pair !== undefined) {
        try {
          check(pair);
        } catch (error) {
          throw new LanyardError({
            code: "keyPair.invalid",
            message: `${name}: attempt to set invalid key pair: ${messageOf(error)}`,
            cause: error,
          });
        }
      }
      holder.set(pair);
    },
  };
}

function samePair(a: KeyPair, b: KeyPair): boolean {
  return a.certificatePem === b.certificatePem && a.privateKeyPem === b.privateKeyPem;
}
