import type { Controller } from "../../kube/controller.ts";
import { parseCertificateBundle } from "../../pki/certificate.ts";
import type { Logger } from "../../telemetry/log.ts";
import type { WritableConciergeState } from "../state/state.ts";

export interface SharedAuthorityOptions {
  readonly state: Pick<
    WritableConciergeState,
    | "requestHeader"
    | "clientCaPem"
    | "clusterSigningKey"
    | "proxySigningKey"
    | "proxySignerTrust"
    | "sharedAuthorityFault"
  >;
  readonly log: Logger;
}

/**
 * Watches that the CA of front proxies is nobody else's CA while any common name may speak for anybody (S11): every
 * client certificate of a shared CA would be a front proxy. Keys are compared, not certificates: a CA may be certified
 * twice. The fault is there before a change in a holder returns to whoever made it.
 */
export function createSharedAuthorityController({ state, log }: SharedAuthorityOptions): Controller {
  const named = log.named("shared-authority-controller");
  const evaluate = (): void => {
    const fault = findFault(state);
    if (fault === state.sharedAuthorityFault.current) {
      return;
    }
    if (fault === undefined) {
      named.info("the certificate authority of front proxies is shared no more");
    } else {
      named.warning("front proxies and users share a certificate authority", { reason: fault });
    }
    state.sharedAuthorityFault.set(fault);
  };
  return {
    name: "shared-authority-controller",
    reconcile: async () => evaluate(),
    watch: () => {
      const stops = [
        state.requestHeader,
        state.clientCaPem,
        state.clusterSigningKey,
        state.proxySigningKey,
        state.proxySignerTrust,
      ].map((holder) => holder.subscribe(evaluate));
      return () => stops.forEach((stop) => stop());
    },
  };
}

function findFault(state: SharedAuthorityOptions["state"]): string | undefined {
  const { requestHeader } = state;
  if (requestHeader.current === undefined || requestHeader.current.allowedNames.length > 0) {
    return undefined;
  }
  const frontProxyKeys = publicKeys(requestHeader.current.clientCaPem);
  const others: readonly (readonly [string, string | undefined])[] = [
    ["client-ca-file", state.clientCaPem.current],
    ["the cluster's signing key", state.clusterSigningKey.current?.certificatePem],
    ["the impersonation proxy's signer", state.proxySigningKey.current?.certificatePem],
    ["the impersonation proxy's signer", state.proxySignerTrust.current],
  ];
  const shared = others.find(([, pem = ""]) =>
    publicKeys(pem).some((key) => frontProxyKeys.some((other) => other.equals(key))),
  );
  return shared === undefined
    ? undefined
    : `requestheader-allowed-names is empty, and requestheader-client-ca-file shares a key with ${shared[0]}: any client certificate could speak for anybody; set --requestheader-allowed-names of the kube-apiserver, or give front proxies a certificate authority of their own`;
}

function publicKeys(pem: string): readonly Buffer[] {
  return parseCertificateBundle(pem).map(({ publicKeySpki }) => publicKeySpki);
}
