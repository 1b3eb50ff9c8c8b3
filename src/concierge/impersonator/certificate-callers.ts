import type { Clock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { Identity } from "../../identity/identity.ts";
import { CREDENTIAL_ID_EXTRA } from "../../identity/unsupported-user-info.ts";
import type { Certificate } from "../../pki/certificate.ts";
import { withAuthenticatedGroup } from "../request/authentication-chain.ts";
import { createCertificateReader } from "../request/client-certificate.ts";
import type { CertificateReader } from "../request/client-certificate.ts";
import type { FrontProxyAuthenticator } from "../request/front-proxy.ts";
import type { PresentedCertificate } from "../request/presented-certificate.ts";
import { headerValues } from "../request/raw-headers.ts";
import { StatusError } from "../request/status.ts";
import type { ConciergeState } from "../state/concierge-state.ts";
import type { Caller } from "./request-context.ts";

export interface CertificateCallersOptions {
  readonly state: Pick<
    ConciergeState,
    "requestHeader" | "clientCaPem" | "proxySignerTrust" | "sharedAuthorityFault"
  >;
  readonly clock: Clock;
  readonly frontProxy: FrontProxyAuthenticator;
}

/** Who a certificate speaks for (contract 7.3): a front proxy for others, every other one for its own user. */
export interface CertificateCallers {
  readonly signer: CertificateReader;
  /** The first of front proxy, our signer and `client-ca-file` that believes the certificate; why not goes to `reasons`. */
  callerOf(
    certificate: PresentedCertificate,
    rawHeaders: readonly string[],
    reasons: string[],
  ): Caller | undefined;
}

/** Front proxy, our signer and `client-ca-file`, each with a trust of its own (T12). */
export function createCertificateCallers(options: CertificateCallersOptions): CertificateCallers {
  const { state, clock, frontProxy } = options;
  // Two trusts, judged apart (T12), at every request (design.md rule 4.2).
  const signer = createCertificateReader({ bundlePem: () => state.proxySignerTrust.current, clock });
  const cluster = createCertificateReader({ bundlePem: () => state.clientCaPem.current, clock });
  const signerFirst = [signer, cluster];
  const clusterFirst = [cluster, signer];
  /** Which of the two knew a leaf last: asked first, because being refused costs more than being known. */
  const knownToCluster = new WeakSet<Certificate>();
  const callers = new WeakMap<Certificate, Caller>();

  const byCertificate = (certificate: PresentedCertificate, reasons: string[]): Caller | undefined => {
    const { leaf } = certificate;
    const readers = leaf !== undefined && knownToCluster.has(leaf) ? clusterFirst : signerFirst;
    let refusal: unknown;
    for (const reader of readers) {
      let found;
      try {
        found = reader.read(certificate);
      } catch (error) {
        refusal ??= error;
        continue;
      }
      if (leaf !== undefined && reader === cluster) {
        knownToCluster.add(leaf);
      }
      return found.identity.username === ""
        ? undefined
        : callerOf(found.identity, found.leaf, certificate, reader);
    }
    reasons.push(`x509: ${messageOf(refusal)}`);
    return undefined;
  };

  const callerOf = (
    identity: Identity,
    leaf: Certificate,
    certificate: PresentedCertificate,
    reader: CertificateReader,
  ): Caller => {
    // What a leaf is worth depends on who vouches for it now: after a change of the bundles that may be another one.
    let caller = callers.get(leaf);
    if (caller === undefined || (caller.trust === undefined) !== (reader === cluster)) {
      caller = {
        identity: withAuthenticatedGroup(identity),
        method: "x509",
        leaf,
        credentialIDs: credentialIDsOf(identity),
        tokenIDs: [],
        trust:
          reader === signer
            ? { kind: "proxy-signer", certificate, notAfter: leaf.notAfter.getTime() }
            : undefined,
      };
      callers.set(leaf, caller);
    }
    return caller;
  };

  const byFrontProxy = (
    certificate: PresentedCertificate,
    rawHeaders: readonly string[],
    reasons: string[],
  ): Caller | undefined => {
    const configuration = state.requestHeader.current;
    if (
      configuration === undefined ||
      // S11: who could make such a certificate is not known to be the kube-apiserver alone.
      state.sharedAuthorityFault.current !== undefined ||
      !configuration.usernameHeaders.some((name) => headerValues(rawHeaders, name).length > 0)
    ) {
      return undefined;
    }
    const identity = attempt(reasons, "front-proxy", () => frontProxy.identify(certificate, rawHeaders));
    return identity === undefined
      ? undefined
      : {
          identity: withAuthenticatedGroup(identity),
          method: "front-proxy",
          leaf: undefined,
          credentialIDs: credentialIDsOf(identity),
          tokenIDs: [],
          trust: undefined,
        };
  };

  return {
    signer,
    callerOf: (certificate, rawHeaders, reasons) =>
      byFrontProxy(certificate, rawHeaders, reasons) ?? byCertificate(certificate, reasons),
  };
}

/** For the deny list (S15). */
export function credentialIDsOf(identity: Identity): readonly string[] {
  return identity.extra[CREDENTIAL_ID_EXTRA] ?? [];
}

/** Nothing, with a reason, for what is bad; a `StatusError` refuses at once. */
export function attempt<T>(reasons: string[], name: string, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof StatusError) {
      throw error;
    }
    reasons.push(`${name}: ${messageOf(error)}`);
    return undefined;
  }
}
