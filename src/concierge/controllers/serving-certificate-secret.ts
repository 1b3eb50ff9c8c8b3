import { LanyardError, messageOf } from "../../errors.ts";
import type { Secret } from "../../kube/objects.ts";
import { createCertificateAuthority, issueServingCertificate } from "../../pki/certificate-authority.ts";
import { verifyClientCertificate } from "../../pki/certificate-verification.ts";
import { extendedKeyUsage, parseCertificateBundle } from "../../pki/certificate.ts";
import { parseServingKeyPair } from "../../pki/key-pair.ts";
import type { KeyPair } from "../state/concierge-state.ts";

/** The keys of the serving certificate's Secret (contract 6.2); the signer's has the first two. */
export const SECRET_KEYS = {
  caCertificate: "caCertificate",
  caPrivateKey: "caCertificatePrivateKey",
  privateKey: "tlsPrivateKey",
  certificateChain: "tlsCertificateChain",
} as const;

const SERVING_CA_COMMON_NAME = "Pinniped Aggregation CA";

/** Certificates are valid from before their making, for clocks that are behind (contract 6.2). */
export const BACKDATE_MILLISECONDS = 5 * 60 * 1000;

/** Entries of a Secret as text, base64 decoded. */
export function secretTexts(secret: Secret): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(secret.data ?? {}).map(([key, value]) => [
      key,
      Buffer.from(value, "base64").toString("utf8"),
    ]),
  );
}

/** Texts as the `data` of a Secret. */
export function secretData(texts: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString("base64")]),
  );
}

/** A new CA and a leaf of it, both valid for `durationSeconds`, as the texts of the Secret (contract 6.2). */
export async function createServingCertificate(options: {
  readonly dnsNames: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly durationSeconds: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
}): Promise<Readonly<Record<string, string>>> {
  const validity = {
    notBefore: new Date(options.now - BACKDATE_MILLISECONDS),
    notAfter: new Date(options.now + options.durationSeconds * 1000),
  };
  const authority = await createCertificateAuthority({ commonName: SERVING_CA_COMMON_NAME, ...validity });
  const leaf = await issueServingCertificate(authority, {
    dnsNames: options.dnsNames,
    ipAddresses: options.ipAddresses ?? [],
    ...validity,
  });
  return {
    [SECRET_KEYS.caCertificate]: authority.certificatePem,
    [SECRET_KEYS.caPrivateKey]: authority.privateKeyPem,
    [SECRET_KEYS.privateKey]: leaf.privateKeyPem,
    [SECRET_KEYS.certificateChain]: leaf.certificatePem,
  };
}

/** A serving certificate that a replica can use. */
export interface ServingCertificate {
  readonly pair: KeyPair;
  readonly caPem: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/**
 * What the Secret holds, if it can serve now: the key belongs to the leaf, which is no CA, is valid, and chains to
 * `caCertificate`. Refusal: `servingCertificate.unusable`.
 */
export function readServingCertificate(secret: Secret, now: number): ServingCertificate {
  const texts = secretTexts(secret);
  const text = (key: string): string => texts[key] ?? "";
  const pair = {
    certificatePem: text(SECRET_KEYS.certificateChain),
    privateKeyPem: text(SECRET_KEYS.privateKey),
  };
  const caPem = text(SECRET_KEYS.caCertificate);
  try {
    const [leaf, ...intermediates] = parseServingKeyPair(pair).chain;
    const { notBefore, notAfter } = verifyClientCertificate({
      certificate: leaf,
      intermediates,
      bundle: parseCertificateBundle(caPem),
      usage: extendedKeyUsage.serverAuth,
      now,
    });
    return { pair, caPem, notBefore, notAfter };
  } catch (error) {
    throw new LanyardError({
      code: "servingCertificate.unusable",
      message: `Secret ${secret.metadata.name} holds no usable serving certificate: ${messageOf(error)}`,
      cause: error,
    });
  }
}
