import type { PeerCertificate, TLSSocket } from "node:tls";
import { LanyardError } from "../../errors.ts";
import { parseCertificate, parseCertificateBundle } from "../../pki/certificate.ts";
import type { Certificate } from "../../pki/certificate.ts";
import { createCertificateVerifier } from "../../pki/certificate-verification.ts";
import type { CertificateVerifier, VerifiedCertificate } from "../../pki/certificate-verification.ts";

/** What a peer showed in its handshake; nothing of it is verified. */
export interface PresentedCertificate {
  /** Undefined when it cannot be read; it counts as a bad certificate then. */
  readonly leaf: Certificate | undefined;
  readonly intermediates: readonly Certificate[];
}

/** A chain longer than this is cut: nobody has to read what a hostile peer sends. */
const MAXIMUM_INTERMEDIATES = 5;

const perConnection = new WeakMap<TLSSocket, PresentedCertificate | undefined>();

/**
 * The certificate behind a connection, read once per connection (TLS 1.3 does not renegotiate); judging it is for every
 * request (design.md rule 4.2). `socket.authorized` is never looked at (T1, T2).
 */
export function presentedCertificate(socket: TLSSocket): PresentedCertificate | undefined {
  if (perConnection.has(socket)) {
    return perConnection.get(socket);
  }
  const presented = read(socket);
  perConnection.set(socket, presented);
  return presented;
}

function read(socket: TLSSocket): PresentedCertificate | undefined {
  const peer = socket.getPeerX509Certificate();
  if (peer === undefined) {
    return undefined;
  }
  const intermediates: Certificate[] = [];
  const seen = new Set<string>();
  let next: PeerCertificate | undefined = socket.getPeerCertificate(true).issuerCertificate;
  while (
    next?.raw !== undefined &&
    !seen.has(next.fingerprint256) &&
    intermediates.length < MAXIMUM_INTERMEDIATES
  ) {
    seen.add(next.fingerprint256);
    const certificate = shared(next.fingerprint256, next.raw);
    if (certificate !== undefined) {
      intermediates.push(certificate);
    }
    next = "issuerCertificate" in next ? (next.issuerCertificate as PeerCertificate | undefined) : undefined;
  }
  return { leaf: shared(peer.fingerprint256, peer.raw), intermediates };
}

/** By SHA-256; nothing is kept that no connection uses. */
const inUse = new Map<string, WeakRef<Certificate>>();
const unused = new FinalizationRegistry<string>((fingerprint) => {
  if (inUse.get(fingerprint)?.deref() === undefined) {
    inUse.delete(fingerprint);
  }
});

/** Many connections show the same certificate, and each copy would cost some ten kilobytes. */
function shared(fingerprint: string, der: Uint8Array): Certificate | undefined {
  const known = inUse.get(fingerprint)?.deref();
  if (known !== undefined) {
    return known;
  }
  const certificate = readable(der);
  if (certificate !== undefined) {
    inUse.set(fingerprint, new WeakRef(certificate));
    unused.register(certificate, fingerprint);
  }
  return certificate;
}

function readable(der: Uint8Array): Certificate | undefined {
  try {
    return parseCertificate(der);
  } catch {
    return undefined;
  }
}

/** Trust for one purpose (T12): the bundle in force at the moment of each call. */
export interface CertificateTrust {
  /** Throws the refusals of `verifyClientCertificate`; `certificate.malformed` for an unreadable one. `now` in milliseconds. */
  verify(presented: PresentedCertificate, now: number): VerifiedCertificate;
}

/** `bundlePem` answers the bundle in force; without one nothing is trusted. */
export function createCertificateTrust(bundlePem: () => string | undefined): CertificateTrust {
  let loaded: { readonly pem: string; readonly verifier: CertificateVerifier } | undefined;
  return {
    verify: (presented, now) => {
      const pem = bundlePem() ?? "";
      if (loaded?.pem !== pem) {
        loaded = { pem, verifier: createCertificateVerifier({ bundle: parseCertificateBundle(pem) }) };
      }
      if (presented.leaf === undefined) {
        throw new LanyardError({
          code: "certificate.malformed",
          message: "x509: the certificate cannot be read",
          httpStatus: 401,
        });
      }
      return loaded.verifier.verify({
        certificate: presented.leaf,
        intermediates: presented.intermediates,
        now,
      });
    },
  };
}
