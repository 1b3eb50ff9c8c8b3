import { systemClock } from "../../../clock.ts";
import { createCertificateAuthority, issueServingCertificate } from "../../../pki/certificate-authority.ts";
import { createClientCertificateIssuer } from "../../../pki/client-certificate.ts";
import type { KeyPairPem } from "../../../pki/key-pair.ts";
import type { KeyPair } from "../../state/concierge-state.ts";

const HOUR = 3_600_000;

/** A CA of a test, valid for a day around now. */
export async function testAuthority(commonName: string): Promise<KeyPairPem> {
  const now = systemClock.now();
  return await createCertificateAuthority({
    commonName,
    notBefore: new Date(now - 24 * HOUR),
    notAfter: new Date(now + 24 * HOUR),
  });
}

export async function testServingCertificate(authority: KeyPairPem): Promise<KeyPair> {
  return await issueServingCertificate(authority, {
    dnsNames: ["localhost"],
    ipAddresses: ["127.0.0.1"],
    notBefore: new Date(systemClock.now() - HOUR),
    notAfter: new Date(systemClock.now() + HOUR),
  });
}

export async function testClientCertificate(
  authority: KeyPairPem,
  username: string,
): Promise<{ readonly cert: string; readonly key: string }> {
  const issued = await createClientCertificateIssuer(authority).issue({
    username,
    groups: [],
    notBefore: new Date(systemClock.now() - HOUR),
    notAfter: new Date(systemClock.now() + HOUR),
  });
  return { cert: issued.certificatePem, key: issued.privateKeyPem ?? "" };
}
