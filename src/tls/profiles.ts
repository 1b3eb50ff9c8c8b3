import { constants } from "node:crypto";
import { getCACertificates } from "node:tls";
import type { SecureContextOptions, SecureVersion, TlsOptions } from "node:tls";
import { LanyardError } from "../errors.ts";

/** A TLS 1.2 suite that a profile may hold or an operator may name (contract 8.1): IANA name and OpenSSL's. */
const TLS12_SUITES = {
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ECDHE-ECDSA-AES128-GCM-SHA256",
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: "ECDHE-RSA-AES128-GCM-SHA256",
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: "ECDHE-ECDSA-AES256-GCM-SHA384",
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: "ECDHE-RSA-AES256-GCM-SHA384",
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-RSA-CHACHA20-POLY1305",
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: "ECDHE-ECDSA-AES128-SHA",
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: "ECDHE-RSA-AES128-SHA",
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: "ECDHE-ECDSA-AES256-SHA",
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: "ECDHE-RSA-AES256-SHA",
} as const;

export type Tls12Suite = keyof typeof TLS12_SUITES;

const SUITE_ALIASES: Readonly<Record<string, Tls12Suite>> = {
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
};

/** The suites of the Default profile, in the contract's order (8.1). */
const DEFAULT_SUITES: readonly Tls12Suite[] = [
  "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
  "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
  "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
  "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
  "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
  "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
];

const TLS13_SUITES = ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];

/** X25519 first (contract 8.1). */
const GROUPS = "X25519:P-256:P-384:P-521";

/** One row of contract 8.1 for one role. */
export interface TlsProfile {
  readonly minVersion: SecureVersion;
  readonly maxVersion: SecureVersion;
  /** Empty: no TLS 1.2. */
  readonly tls12Suites: readonly Tls12Suite[];
  /** Whose order of suites counts in a server. */
  readonly honorCipherOrder: boolean;
}

/** The profiles of contract chapter 8. Nothing else here sets a TLS version, suite or group. */
export interface TlsProfiles {
  /** The impersonation proxy. The client's order counts, so that clients without AES hardware get ChaCha20. */
  readonly defaultServer: TlsProfile;
  /** The aggregated API. */
  readonly secureServer: TlsProfile;
  /** To OIDC issuers and webhooks. */
  readonly defaultClient: TlsProfile;
  /** To the kube-apiserver. */
  readonly secureClient: TlsProfile;
}

const DEFAULT: TlsProfile = {
  minVersion: "TLSv1.2",
  maxVersion: "TLSv1.3",
  tls12Suites: DEFAULT_SUITES,
  honorCipherOrder: false,
};
const SECURE: TlsProfile = {
  minVersion: "TLSv1.3",
  maxVersion: "TLSv1.3",
  tls12Suites: [],
  honorCipherOrder: true,
};

export const tlsProfiles: TlsProfiles = {
  defaultServer: DEFAULT,
  secureServer: SECURE,
  defaultClient: DEFAULT,
  secureClient: SECURE,
};

/**
 * The profiles with the TLS 1.2 suites that `tls.onedottwo.allowedCiphers` names, each in its profile's order; no names, or
 * none that a profile has, leave that profile as it is (contract 8.2). Refusal: `tls.ciphers.unrecognized`.
 */
export function narrowCiphers(allowed: readonly string[], profiles: TlsProfiles = tlsProfiles): TlsProfiles {
  const known = Object.keys(TLS12_SUITES);
  const unrecognized = allowed.filter((name) => !known.includes(name) && !Object.hasOwn(SUITE_ALIASES, name));
  if (unrecognized.length > 0) {
    throw new LanyardError({
      code: "tls.ciphers.unrecognized",
      message: `validate tls: unrecognized ciphers [${unrecognized.join(", ")}], ciphers must be from list [${known.join(", ")}]`,
    });
  }
  const names = new Set(
    allowed.map((name) => (Object.hasOwn(SUITE_ALIASES, name) ? SUITE_ALIASES[name] : name)),
  );
  const narrow = (profile: TlsProfile): TlsProfile => {
    const kept = profile.tls12Suites.filter((suite) => names.has(suite));
    return kept.length === 0 ? profile : { ...profile, tls12Suites: kept };
  };
  return {
    defaultServer: narrow(profiles.defaultServer),
    secureServer: narrow(profiles.secureServer),
    defaultClient: narrow(profiles.defaultClient),
    secureClient: narrow(profiles.secureClient),
  };
}

/**
 * A server's profile as one context per TLS version (clarification 9): TLS 1.2 in the client's order, TLS 1.3 in ours with
 * AES-128 first. A listener that chooses between them by the ClientHello answers scanners as the contract's 8.3 wants.
 * `tls12` is undefined where the profile has no TLS 1.2.
 */
export function splitByVersion(profile: TlsProfile): {
  readonly tls12: TlsProfile | undefined;
  readonly tls13: TlsProfile;
} {
  return {
    tls12:
      profile.minVersion === "TLSv1.3"
        ? undefined
        : { ...profile, maxVersion: "TLSv1.2", honorCipherOrder: false },
    tls13: { ...profile, minVersion: "TLSv1.3", tls12Suites: [], honorCipherOrder: true },
  };
}

function ciphersOf(profile: TlsProfile): string {
  const tls13 = profile.maxVersion === "TLSv1.3" ? TLS13_SUITES : [];
  return [...tls13, ...profile.tls12Suites.map((suite) => TLS12_SUITES[suite])].join(":");
}

type ProfileOptions = Required<
  Pick<SecureContextOptions, "minVersion" | "maxVersion" | "ciphers" | "ecdhCurve">
>;

function profileOptions(profile: TlsProfile): ProfileOptions {
  return {
    minVersion: profile.minVersion,
    maxVersion: profile.maxVersion,
    ciphers: ciphersOf(profile),
    ecdhCurve: GROUPS,
  };
}

/** A certificate chain and its key; several pairs offer several key types. */
export interface ServingPair {
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
}

export interface ServerTlsRequest extends ServingPair {
  /** Further pairs of other key types, such as the RSA one of contract 7.9. */
  readonly additionalPairs?: readonly ServingPair[] | undefined;
  /** The CAs whose names are advertised and whose client certificates count; never empty (T6). */
  readonly clientCaPem: string;
  readonly alpnProtocols?: readonly string[] | undefined;
}

/** Everything that a TLS server and `setSecureContext` need (T8). */
export type ServerTlsOptions = ProfileOptions &
  Required<
    Pick<
      TlsOptions,
      | "cert"
      | "key"
      | "ca"
      | "requestCert"
      | "rejectUnauthorized"
      | "honorCipherOrder"
      | "secureOptions"
      | "ALPNProtocols"
      | "sessionTimeout"
    >
  >;

/**
 * One whole option set of a listener that asks for client certificates and leaves judging them to the request (T8, T10).
 * Sessions are not resumed (T3), for a resumed one would keep an old verdict. Refusal: `tls.clientCa.missing`, because
 * without a `ca` Node trusts the public roots (T6).
 */
export function serverTlsOptions(profile: TlsProfile, request: ServerTlsRequest): ServerTlsOptions {
  if (
    typeof request.clientCaPem !== "string" ||
    !request.clientCaPem.includes("-----BEGIN CERTIFICATE-----")
  ) {
    throw new LanyardError({
      code: "tls.clientCa.missing",
      message: "a listener needs a client CA bundle: without one every public CA would be trusted",
    });
  }
  const pairs = [request, ...(request.additionalPairs ?? [])];
  return {
    ...profileOptions(profile),
    cert: pairs.map(({ certificateChainPem }) => certificateChainPem),
    key: pairs.map(({ privateKeyPem }) => privateKeyPem),
    ca: [request.clientCaPem],
    requestCert: true,
    rejectUnauthorized: false,
    honorCipherOrder: profile.honorCipherOrder,
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
    sessionTimeout: 1,
    ALPNProtocols: [...(request.alpnProtocols ?? ["h2", "http/1.1"])],
  };
}

/** Everything that a TLS client needs; `ca` is never left to Node's default. */
export type ClientTlsOptions = ProfileOptions & { readonly ca: string[]; readonly rejectUnauthorized: true };

/** A client's option set: `caPem` replaces the system's roots completely (contract 4.3), absent or empty means them. */
export function clientTlsOptions(
  profile: TlsProfile,
  request: { readonly caPem?: string | undefined } = {},
): ClientTlsOptions {
  const { caPem } = request;
  return {
    ...profileOptions(profile),
    ca: caPem === undefined || caPem === "" ? systemRoots() : [caPem],
    rejectUnauthorized: true,
  };
}

let roots: string[] | undefined;

/** The system's trusted roots, PEM, read at first use (clarification 33). */
export function systemRoots(): string[] {
  roots ??= getCACertificates("system");
  return roots;
}

/** A profile in one line for the start-up log (contract 8.2). */
export function describeProfile(profile: TlsProfile): string {
  const suites = profile.tls12Suites.length === 0 ? "none" : profile.tls12Suites.join(", ");
  return `min ${profile.minVersion}, max ${profile.maxVersion}, TLS 1.2 suites: ${suites}`;
}
