import { LanyardError } from "../../errors.ts";
import { extendedKeyUsage, parseCertificate } from "../../pki/certificate.ts";
import type { Certificate } from "../../pki/certificate.ts";
import { MAXIMUM_CLIENT_CERTIFICATE_BYTES } from "../../pki/client-certificate.ts";
import { decodePem, encodePem } from "../../pki/pem.ts";
import { MINIMUM_LIFETIME_SECONDS } from "./lifetime.ts";

/** What a certificate must say to be used (S6). */
export interface ExpectedCertificate {
  /** DER `Name`. */
  readonly subject: Uint8Array;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKeySpki: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Milliseconds since the epoch. */
  readonly latestNotAfter: number;
}

/** The more certificates there are, the more of them every handshake carries. */
const LONGEST_CHAIN = 5;

/**
 * Reads what somebody else signed and compares it with what was asked for (S6): subject bytes, public key, extended key
 * usage, no CA, and an end that is not later than asked. An earlier one, as of a signer with a limit of its own, is
 * taken as long as it is a minute ahead (S7). Refusal: `clusterSigning.certificate`, naming all that differs.
 */
export function readSignedCertificate(
  pem: string,
  expected: ExpectedCertificate,
): { readonly certificate: Certificate; /** PEM, the leaf first. */ readonly chain: string } {
  const blocks = decodePem(pem);
  const [certificate] = parse(blocks.map(({ type, bytes }) => (type === "CERTIFICATE" ? bytes : undefined)));
  const { subject, publicKeySpki, notAfter, extendedKeyUsages = [], isCa, keyUsage } = certificate;
  const faults = [
    !subject.equals(expected.subject) && "subject",
    !publicKeySpki.equals(expected.publicKeySpki) && "public key",
    !(extendedKeyUsages.length === 1 && extendedKeyUsages[0] === extendedKeyUsage.clientAuth) &&
      "extended key usage",
    (isCa || keyUsage?.certSign === true) && "basic constraints",
    !(notAfter.getTime() <= expected.latestNotAfter) && "NotAfter (later than asked)",
    !(notAfter.getTime() >= expected.now + MINIMUM_LIFETIME_SECONDS * 1000) &&
      `NotAfter (less than ${MINIMUM_LIFETIME_SECONDS} seconds from now)`,
    certificate.der.length > MAXIMUM_CLIENT_CERTIFICATE_BYTES && "size",
  ].filter((fault) => fault !== false);
  if (faults.length > 0) {
    throw refusal(`the cluster's signer returned a certificate with another ${faults.join(", ")}`);
  }
  return { certificate, chain: blocks.map(({ bytes }) => encodePem("CERTIFICATE", bytes)).join("") };
}

function parse(blocks: readonly (Buffer | undefined)[]): readonly [Certificate, ...Certificate[]] {
  try {
    const [leaf, ...rest] = blocks.map((bytes) => {
      if (bytes === undefined) {
        throw new TypeError("not a certificate");
      }
      return parseCertificate(bytes);
    });
    if (leaf !== undefined && rest.length < LONGEST_CHAIN) {
      return [leaf, ...rest];
    }
  } catch (error) {
    throw refusal("the cluster's signer returned something that is not a certificate", error);
  }
  throw refusal("the cluster's signer returned no certificate, or too many");
}

function refusal(message: string, cause?: unknown): LanyardError {
  return new LanyardError({ code: "clusterSigning.certificate", message, cause });
}
