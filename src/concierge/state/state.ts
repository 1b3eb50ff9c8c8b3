import type { AuthenticatorSet } from "../authenticators/authenticator.ts";
import type { ConciergeState, KeyPair, ProxyToken, RequestHeaderConfiguration } from "./concierge-state.ts";
import { defaultCredentialSettings } from "./credential-settings.ts";
import type { CredentialSettings } from "./credential-settings.ts";
import { createHolder } from "./holder.ts";
import type { Holder } from "./holder.ts";
import { createKeyPairHolder } from "./key-pair-holder.ts";
import type { BearerKeys, DenyList, ProxySettings, ProxyState } from "./proxy.ts";

/** The controllers' side of the state; servers get it as `ConciergeState`. */
export interface WritableConciergeState<
  A extends AuthenticatorSet = AuthenticatorSet,
> extends ConciergeState {
  readonly servingCertificate: Holder<KeyPair | undefined>;
  readonly clusterSigningKey: Holder<KeyPair | undefined>;
  readonly proxySigningKey: Holder<KeyPair | undefined>;
  readonly proxySignerTrust: Holder<string | undefined>;
  readonly bearerKeys: Holder<BearerKeys | undefined>;
  readonly bearerAudience: Holder<string | undefined>;
  readonly credentialSettings: Holder<CredentialSettings>;
  readonly sharedAuthorityFault: Holder<string | undefined>;
  readonly proxySettings: Holder<ProxySettings | undefined>;
  readonly proxyServingCertificate: Holder<KeyPair | undefined>;
  readonly denyList: Holder<DenyList | undefined>;
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
    proxySignerTrust: createHolder<string | undefined>(undefined),
    bearerKeys: createHolder<BearerKeys | undefined>(undefined),
    bearerAudience: createHolder<string | undefined>(undefined),
    credentialSettings: createHolder<CredentialSettings>(defaultCredentialSettings),
    sharedAuthorityFault: createHolder<string | undefined>(undefined),
    proxySettings: createHolder<ProxySettings | undefined>(undefined),
    proxyState: createHolder<ProxyState>({ phase: "stopped" }),
    proxyServingCertificate: createKeyPairHolder("impersonation-proxy-serving-cert", "serving"),
    denyList: createHolder<DenyList | undefined>(undefined),
    requestHeader: createHolder<RequestHeaderConfiguration | undefined>(undefined),
    clientCaPem: createHolder<string | undefined>(undefined),
    proxyToken: createHolder<ProxyToken | undefined>(undefined),
    authenticators: options.authenticators,
  };
}
