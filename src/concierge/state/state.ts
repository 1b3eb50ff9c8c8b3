import type { AuthenticatorSet } from "../authenticators/authenticator.ts";
import type { ConciergeState, KeyPair, ProxyToken, RequestHeaderConfiguration } from "./concierge-state.ts";
import { createHolder } from "./holder.ts";
import type { Holder } from "./holder.ts";
import { createKeyPairHolder } from "./key-pair-holder.ts";

/** The controllers' side of the state; servers get it as `ConciergeState`. */
export interface WritableConciergeState<
  A extends AuthenticatorSet = AuthenticatorSet,
> extends ConciergeState {
  readonly servingCertificate: Holder<KeyPair | undefined>;
  readonly clusterSigningKey: Holder<KeyPair | undefined>;
  readonly proxySigningKey: Holder<KeyPair | undefined>;
  readonly requestHeader: Holder<RequestHeaderConfiguration | undefined>;
  readonly clientCaPem: Holder<string | undefined>;
  readonly proxyToken: Holder<ProxyToken | undefined>;
  readonly authenticators: A;
}

/** Names of the signers, in errors (contract 2.4). */
export const CLUSTER_SIGNER_NAME = "concierge-kube-signing-cert";
export const PROXY_SIGNER_NAME = "impersonation-proxy-signing-cert";

/** All holders, empty. */
export function createConciergeState<A extends AuthenticatorSet>(options: {
  readonly authenticators: A;
}): WritableConciergeState<A> {
  return {
    servingCertificate: createKeyPairHolder("concierge-serving-cert", "serving"),
    clusterSigningKey: createKeyPairHolder(CLUSTER_SIGNER_NAME, "signing"),
    proxySigningKey: createKeyPairHolder(PROXY_SIGNER_NAME, "signing"),
    requestHeader: createHolder<RequestHeaderConfiguration | undefined>(undefined),
    clientCaPem: createHolder<string | undefined>(undefined),
    proxyToken: createHolder<ProxyToken | undefined>(undefined),
    authenticators: options.authenticators,
  };
}
