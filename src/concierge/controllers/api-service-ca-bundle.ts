import { parseCertificateBundle } from "../../pki/certificate.ts";
import { encodePem } from "../../pki/pem.ts";

/**
 * The `caBundle` that an APIService should have: the present CA, and while the overlap lasts also every CA that is in it
 * now and can still sign for a replica (clarification 14). The bundle itself remembers the old CAs, so that a new leader
 * knows them.
 */
export function desiredCaBundle(options: {
  /** PEM of the Secret's `caCertificate`, kept byte for byte. */
  readonly caPem: string;
  readonly presentBundlePem: string;
  readonly overlapping: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
}): string {
  const { caPem, presentBundlePem, overlapping, now } = options;
  if (!overlapping) {
    return caPem;
  }
  const seen = new Set(parseCertificateBundle(caPem).map(({ sha256Hex }) => sha256Hex));
  let bundle = caPem;
  for (const certificate of parseCertificateBundle(presentBundlePem)) {
    if (!seen.has(certificate.sha256Hex) && certificate.isCa && certificate.notAfter.getTime() > now) {
      seen.add(certificate.sha256Hex);
      bundle += `${bundle.endsWith("\n") ? "" : "\n"}${encodePem("CERTIFICATE", certificate.der)}`;
    }
  }
  return bundle;
}
