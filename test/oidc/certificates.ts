import { createCertificateAuthority, issueServingCertificate } from "../../src/pki/certificate-authority.ts";
import type { KeyPairPem } from "../../src/pki/key-pair.ts";

/** A serving certificate for loopback with the CA that signed it. */
export interface LoopbackCertificate extends KeyPairPem {
  readonly caPem: string;
}

export interface LoopbackCertificateOptions {
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

/** Makes a CA of its own and a certificate for `localhost`, 127.0.0.1 and ::1, or for the names asked for. */
export async function createLoopbackCertificate(
  options: LoopbackCertificateOptions = {},
): Promise<LoopbackCertificate> {
  const now = Date.now();
  const caValidity = { notBefore: new Date(now - 86_400_000), notAfter: new Date(now + 30 * 86_400_000) };
  const authority = await createCertificateAuthority({ commonName: "test CA", ...caValidity });
  const serving = await issueServingCertificate(authority, {
    dnsNames: options.dnsNames ?? ["localhost"],
    ipAddresses: options.ipAddresses ?? ["127.0.0.1", "::1"],
    notBefore: options.notBefore ?? new Date(now - 3_600_000),
    notAfter: options.notAfter ?? new Date(now + 7 * 86_400_000),
  });
  return { ...serving, caPem: authority.certificatePem };
}
