import { createPrivateKey } from "node:crypto";
import { parseCertificateBundle } from "../../pki/certificate.ts";
import { encodePem } from "../../pki/pem.ts";
import { serverTlsOptions, splitByVersion } from "../../tls/profiles.ts";
import type { ServerTlsOptions, ServingPair, Tls12Suite, TlsProfile } from "../../tls/profiles.ts";
import type { ConciergeState } from "../state/concierge-state.ts";
import type { ClientHello } from "./client-hello.ts";

/** What the listener's TLS is made of. */
export type ProxyTlsState = Pick<
  ConciergeState,
  "proxyServingCertificate" | "proxySignerTrust" | "clientCaPem" | "requestHeader"
>;

/** Whole option sets (T8), one per kind of client (clarification 9). */
export interface ProxyTlsOptions {
  readonly tls13: ServerTlsOptions;
  /** TLS 1.2 for clients that know ECDSA; the serving certificate. */
  readonly tls12: ServerTlsOptions | undefined;
  /** TLS 1.2 for clients that know RSA only; undefined where the serving certificate is an RSA one itself. */
  readonly tls12Rsa: ServerTlsOptions | undefined;
  /** IANA numbers of the TLS 1.2 suites in force that need ECDSA. */
  readonly ecdsaSuites: ReadonlySet<number>;
}

export type TlsKind = "tls13" | "tls12" | "tls12Rsa";

/**
 * What is in force now, or undefined while there is no serving certificate. The CA list only tells clients whose
 * certificates are wanted: each request is judged against the bundle of its purpose at that moment (T12).
 */
export function currentTlsOptions(
  state: ProxyTlsState,
  profile: TlsProfile,
  loopback: ServingPair,
): ProxyTlsOptions | undefined {
  const pair = state.proxyServingCertificate.current;
  if (pair === undefined) {
    return undefined;
  }
  const bundle = [
    state.requestHeader.current?.clientCaPem,
    state.clientCaPem.current,
    state.proxySignerTrust.current,
  ]
    .flatMap((pem) => parseCertificateBundle(pem ?? ""))
    .map(({ der }) => encodePem("CERTIFICATE", der));
  const serving: ServingPair = {
    certificateChainPem: pair.certificatePem,
    privateKeyPem: pair.privateKeyPem,
  };
  // With nobody trusted our own name stands in: an empty list would mean every public CA (T6).
  const clientCaPem = bundle.length > 0 ? [...new Set(bundle)].join("") : pair.certificatePem;
  const { tls12, tls13 } = splitByVersion(profile);
  const options = (each: TlsProfile, offered: ServingPair): ServerTlsOptions =>
    serverTlsOptions(each, { ...offered, clientCaPem });
  const isRsa = createPrivateKey(pair.privateKeyPem).asymmetricKeyType === "rsa";
  return {
    tls13: options(tls13, serving),
    tls12: tls12 === undefined ? undefined : options(tls12, serving),
    tls12Rsa: tls12 === undefined || isRsa ? undefined : options(tls12, loopback),
    ecdsaSuites: new Set(profile.tls12Suites.flatMap((suite) => ECDSA_SUITES[suite] ?? [])),
  };
}

/** IANA numbers of the suites that need an ECDSA certificate (contract 8.1). */
const ECDSA_SUITES: Partial<Record<Tls12Suite, number>> = {
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: 0xc02b,
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: 0xc02c,
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: 0xcca9,
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: 0xc009,
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: 0xc00a,
};

/**
 * Which option set fits a client. With both kinds of certificate in one context OpenSSL would follow the client's order of
 * suites, and one that names RSA first would get the certificate that nobody trusts.
 */
export function tlsKindFor(hello: ClientHello, options: ProxyTlsOptions): TlsKind {
  if (hello.offersTls13 || options.tls12 === undefined) {
    return "tls13";
  }
  const knowsEcdsa = hello.suites.some((suite) => options.ecdsaSuites.has(suite));
  return knowsEcdsa || options.tls12Rsa === undefined ? "tls12" : "tls12Rsa";
}
