import type { KeyObject } from "node:crypto";
import { LanyardError } from "../errors.ts";
import { extendedKeyUsage, fingerprintHex, parseCertificate, subjectOf } from "./certificate.ts";
import type { Certificate } from "./certificate.ts";

/** Why a certificate was refused; the codes of `LanyardError`. */
export type CertificateRefusal =
  | "certificate.malformed"
  | "certificate.notYetValid"
  | "certificate.expired"
  | "certificate.unknownAuthority"
  | "certificate.badSignature"
  | "certificate.wrongUsage"
  | "certificate.unsupported"
  | "certificate.nameNotAllowed";

/** A certificate that chains to the bundle, and the time for which that holds. */
export interface VerifiedCertificate {
  /** Leaf first, a CA of the bundle last. */
  readonly chain: readonly [Certificate, ...Certificate[]];
  /** The latest NotBefore and the earliest NotAfter of the chain. */
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export interface VerifyCertificateRequest {
  /** The peer's certificate: DER, or read already. */
  readonly certificate: Certificate | Uint8Array;
  /** The CAs trusted for this one purpose (T12); an empty list refuses everything (T6). */
  readonly bundle: readonly Certificate[];
  /** What else the peer sent; believed only as far as it is signed. */
  readonly intermediates?: readonly Certificate[] | undefined;
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
  /** Object identifier of the usage; defaults to clientAuth. */
  readonly usage?: string | undefined;
}

/** Signature algorithms that Go's crypto/x509 accepts in a chain: no MD5, no SHA-1. */
const SIGNATURE_ALGORITHMS = new Set([
  "1.2.840.113549.1.1.10",
  "1.2.840.113549.1.1.11",
  "1.2.840.113549.1.1.12",
  "1.2.840.113549.1.1.13",
  "1.2.840.10045.4.3.2",
  "1.2.840.10045.4.3.3",
  "1.2.840.10045.4.3.4",
  "1.3.101.112",
]);

/** Elliptic curves that Go's crypto/x509 knows; RSA keys that it uses are this long. */
const CURVES = new Set(["secp224r1", "prime256v1", "secp384r1", "secp521r1"]);
const MINIMUM_RSA_BITS = 1024;

/** Certificates of one chain, and signatures checked for one leaf: a hostile chain must stay cheap. */
const MAXIMUM_CHAIN = 6;
const MAXIMUM_SIGNATURES = 20;

/**
 * Verifies one client certificate against the bundle in force now (design.md rule 4.2): the chain ends at a CA of
 * `bundle`, every link carries the issuer's name and a good signature, issuers are CAs, every certificate of the chain is
 * valid at `now`, and none of them forbids `usage`. Where several chains exist, one good chain is enough. Refusals,
 * status 401: `CertificateRefusal`.
 */
export function verifyClientCertificate(request: VerifyCertificateRequest): VerifiedCertificate {
  const leaf = toCertificate(request.certificate);
  const usage = request.usage ?? extendedKeyUsage.clientAuth;
  requireUsable(leaf, usage, request.now);
  const search: Search = {
    bundle: request.bundle,
    intermediates: request.intermediates ?? [],
    usage,
    now: request.now,
    signaturesLeft: MAXIMUM_SIGNATURES,
    refusal: undefined,
  };
  const chain = extend([leaf], search);
  if (chain === undefined) {
    throw search.refusal ?? refuse("certificate.unknownAuthority", "certificate signed by unknown authority");
  }
  return {
    chain,
    notBefore: new Date(Math.max(...chain.map(({ notBefore }) => notBefore.getTime()))),
    notAfter: new Date(Math.min(...chain.map(({ notAfter }) => notAfter.getTime()))),
  };
}

/**
 * Verifies a front proxy's certificate: chain as `verifyClientCertificate`, and its common name is one of `allowedNames`
 * unless that list is empty (`requestheader-allowed-names`, A1). Further refusal: `certificate.nameNotAllowed`.
 */
export function verifyFrontProxyCertificate(
  request: VerifyCertificateRequest & { readonly allowedNames: readonly string[] },
): VerifiedCertificate {
  const verified = verifyClientCertificate(request);
  if (request.allowedNames.length > 0) {
    const { commonName } = subjectOf(verified.chain[0]);
    if (commonName === "" || !request.allowedNames.includes(commonName)) {
      throw refuse(
        "certificate.nameNotAllowed",
        "the certificate's common name is not an allowed front proxy",
      );
    }
  }
  return verified;
}

/** `verifyClientCertificate` against one bundle, remembering the chains of the last leaves. */
export interface CertificateVerifier {
  /**
   * Everything that depends on time is checked again at every call; only signatures and chain building are remembered, by
   * the leaf's SHA-256 (S12). Refusals are not remembered. Throws as `verifyClientCertificate`.
   */
  verify(request: Omit<VerifyCertificateRequest, "bundle" | "usage">): VerifiedCertificate;
}

/** A verifier lives as long as its bundle: a new bundle is a new verifier, and nothing old is believed. */
export function createCertificateVerifier(options: {
  readonly bundle: readonly Certificate[];
  readonly usage?: string | undefined;
  /** How many leaves are remembered; defaults to 2,000. */
  readonly capacity?: number | undefined;
}): CertificateVerifier {
  const { bundle, usage, capacity = 2000 } = options;
  const remembered = new Map<string, VerifiedCertificate>();
  return {
    verify: (request) => {
      const { certificate } = request;
      const key = certificate instanceof Uint8Array ? fingerprintHex(certificate) : certificate.sha256Hex;
      const known = remembered.get(key);
      if (
        known !== undefined &&
        known.notBefore.getTime() <= request.now &&
        request.now <= known.notAfter.getTime()
      ) {
        return known;
      }
      remembered.delete(key);
      const verified = verifyClientCertificate({ ...request, bundle, usage });
      if (remembered.size >= capacity) {
        const [oldest = ""] = remembered.keys();
        remembered.delete(oldest);
      }
      remembered.set(key, verified);
      return verified;
    },
  };
}

function toCertificate(source: Certificate | Uint8Array): Certificate {
  if (!(source instanceof Uint8Array)) {
    return source;
  }
  try {
    return parseCertificate(source);
  } catch (error) {
    throw refuse("certificate.malformed", "the certificate cannot be read", error);
  }
}

function refuse(code: CertificateRefusal, what: string, cause?: unknown): LanyardError {
  return new LanyardError({ code, message: `x509: ${what}`, httpStatus: 401, cause });
}

interface Search {
  readonly bundle: readonly Certificate[];
  readonly intermediates: readonly Certificate[];
  readonly usage: string;
  readonly now: number;
  signaturesLeft: number;
  /** The first thing found wrong with a link that looked right by name. */
  refusal: LanyardError | undefined;
}

type Chain = readonly [Certificate, ...Certificate[]];

function extend(chain: Chain, search: Search): Chain | undefined {
  const subject = chain.at(-1) ?? chain[0];
  for (const anchor of search.bundle) {
    if (accepts(chain, subject, anchor, search)) {
      return [...chain, anchor];
    }
  }
  if (chain.length >= MAXIMUM_CHAIN) {
    return undefined;
  }
  for (const intermediate of search.intermediates) {
    if (chain.includes(intermediate) || !accepts(chain, subject, intermediate, search)) {
      continue;
    }
    const longer = extend([...chain, intermediate], search);
    if (longer !== undefined) {
      return longer;
    }
  }
  return undefined;
}

/** Says whether `issuer` may stand above `subject` at the end of `chain`; notes the first reason why a namesake may not. */
function accepts(chain: Chain, subject: Certificate, issuer: Certificate, search: Search): boolean {
  if (!subject.issuer.equals(issuer.subject) || search.signaturesLeft === 0) {
    return false;
  }
  try {
    requireIssuer(chain, issuer);
    requireUsable(issuer, search.usage, search.now);
    search.signaturesLeft--;
    requireSignature(subject, issuer);
    if (issuer.hasNameConstraints && chain.some(({ hasSubjectAltName }) => hasSubjectAltName)) {
      // Constraints bind SANs only; refusing is safer than evaluating them for certificates that carry none.
      throw refuse("certificate.unsupported", "name constraints cannot be applied to this certificate");
    }
    return true;
  } catch (error) {
    if (!(error instanceof LanyardError)) {
      throw error;
    }
    search.refusal ??= error;
    return false;
  }
}

function requireIssuer(chain: Chain, issuer: Certificate): void {
  if (!issuer.isCa || issuer.keyUsage?.certSign === false) {
    throw refuse("certificate.unknownAuthority", "certificate is not authorized to sign other certificates");
  }
  // Self-issued certificates below do not count (RFC 5280 section 4.2.1.9).
  const below = chain
    .slice(1)
    .filter((certificate) => !certificate.issuer.equals(certificate.subject)).length;
  if (issuer.maximumPathLength !== undefined && below > issuer.maximumPathLength) {
    throw refuse("certificate.unknownAuthority", "too many intermediates for path length constraint");
  }
}

function requireUsable(certificate: Certificate, usage: string, now: number): void {
  if (certificate.unknownCriticalExtensions.length > 0) {
    throw refuse("certificate.unsupported", "unhandled critical extension");
  }
  if (now < certificate.notBefore.getTime()) {
    throw refuse("certificate.notYetValid", "certificate has expired or is not yet valid");
  }
  if (now > certificate.notAfter.getTime()) {
    throw refuse("certificate.expired", "certificate has expired or is not yet valid");
  }
  const usages = certificate.extendedKeyUsages;
  if (usages !== undefined && !usages.includes(usage) && !usages.includes(extendedKeyUsage.any)) {
    throw refuse("certificate.wrongUsage", "certificate specifies an incompatible key usage");
  }
  if (!hasStrongKey(certificate)) {
    throw refuse("certificate.unsupported", "unsupported or too weak a public key");
  }
}

function hasStrongKey({ x509 }: Certificate): boolean {
  let key: KeyObject;
  try {
    key = x509.publicKey;
  } catch {
    return false;
  }
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === "ec") {
    return CURVES.has(details?.namedCurve ?? "");
  }
  return type === "ed25519" || (type === "rsa" && (details?.modulusLength ?? 0) >= MINIMUM_RSA_BITS);
}

function requireSignature(subject: Certificate, issuer: Certificate): void {
  if (!SIGNATURE_ALGORITHMS.has(subject.signatureAlgorithm)) {
    throw refuse("certificate.unsupported", "cannot verify signature: insecure or unknown algorithm");
  }
  let good = false;
  try {
    good = subject.x509.verify(issuer.x509.publicKey);
  } catch {
    // A key that cannot verify this algorithm is a key that did not make the signature.
  }
  if (!good) {
    throw refuse("certificate.badSignature", "certificate signed by unknown authority");
  }
}
