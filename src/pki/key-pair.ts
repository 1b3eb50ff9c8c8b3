import { createPrivateKey, createPublicKey } from "node:crypto";
import type { KeyObject, X509Certificate } from "node:crypto";
import { LanyardError } from "../errors.ts";
import { parseCertificate } from "./certificate.ts";
import type { Certificate } from "./certificate.ts";
import { decodePem } from "./pem.ts";

/** A certificate (chain) with its key, PEM. */
export interface KeyPairPem {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** A signing CA whose certificate and key were found to belong together. */
export interface SigningAuthority {
  readonly certificate: Certificate;
  readonly privateKey: KeyObject;
}

/** Says whether `key`, private or public, is the one that `certificate` certifies. */
export function keyMatches(certificate: X509Certificate, key: KeyObject): boolean {
  if (key.type === "private") {
    return certificate.checkPrivateKey(key);
  }
  return key.type === "public" && certificate.publicKey.equals(key);
}

function keyPairError(code: string, message: string, cause?: unknown): LanyardError {
  return new LanyardError({ code, message, cause });
}

/**
 * A certificate chain and the key of its leaf, with the texts of Go's `tls.X509KeyPair`. Refusals:
 * `keyPair.certificate.missing`, `keyPair.certificate.malformed`, `keyPair.key.missing`, `keyPair.key.malformed`,
 * `keyPair.mismatch`.
 */
export function parseKeyPair(pair: KeyPairPem): {
  readonly chain: readonly [Certificate, ...Certificate[]];
  readonly privateKey: KeyObject;
} {
  const [leaf, ...rest] = blocksOf(pair.certificatePem, "certificate", (type) => type === "CERTIFICATE").map(
    (bytes) => {
      try {
        return parseCertificate(bytes);
      } catch (error) {
        throw keyPairError("keyPair.certificate.malformed", "x509: malformed certificate", error);
      }
    },
  );
  if (leaf === undefined) {
    throw new TypeError("blocksOf answers at least one block");
  }
  blocksOf(pair.privateKeyPem, "key", isPrivateKey);
  const privateKey = readPrivateKey(pair.privateKeyPem);
  if (!keyMatches(leaf.x509, privateKey)) {
    const sameKind = createPublicKey(privateKey).asymmetricKeyType === leaf.x509.publicKey.asymmetricKeyType;
    throw keyPairError(
      "keyPair.mismatch",
      `tls: private key ${sameKind ? "does not match public key" : "type does not match public key type"}`,
    );
  }
  return { chain: [leaf, ...rest], privateKey };
}

function isPrivateKey(type: string): boolean {
  return type === "PRIVATE KEY" || type.endsWith(" PRIVATE KEY");
}

function blocksOf(
  pem: string,
  what: "certificate" | "key",
  wanted: (type: string) => boolean,
): readonly Buffer[] {
  const blocks = decodePem(pem);
  const found = blocks.filter(({ type }) => wanted(type));
  if (found.length > 0) {
    return found.map(({ bytes }) => bytes);
  }
  const code = `keyPair.${what}.missing`;
  const types = blocks.map(({ type }) => type);
  if (types.length === 0) {
    throw keyPairError(code, `tls: failed to find any PEM data in ${what} input`);
  }
  const label =
    what === "certificate" ? `"CERTIFICATE" PEM block` : `PEM block with type ending in "PRIVATE KEY"`;
  throw keyPairError(
    code,
    `tls: failed to find ${label} in ${what} input after skipping PEM blocks of the following types: [${types.join(" ")}]`,
  );
}

function readPrivateKey(pem: string): KeyObject {
  const block = decodePem(pem).find(({ type }) => isPrivateKey(type));
  if (block?.type === "ENCRYPTED PRIVATE KEY") {
    throw keyPairError("keyPair.key.malformed", "tls: failed to parse private key");
  }
  const attempts = (["pkcs8", "sec1", "pkcs1"] as const).map(
    (type) => () => createPrivateKey({ key: block?.bytes ?? Buffer.alloc(0), format: "der", type }),
  );
  for (const attempt of attempts) {
    try {
      return attempt();
    } catch {
      // Go too tries one form after the other whatever the label says. The cause could quote key bytes: it is dropped.
    }
  }
  throw keyPairError("keyPair.key.malformed", "tls: failed to parse private key");
}

/**
 * A usable signing CA: exactly one certificate, with IsCA, and its key (contract 2.4). Refusals carry the contract's
 * texts: those of `parseKeyPair` behind `could not load CA: `, `certificateAuthority.certificateCount`,
 * `certificateAuthority.notCa`.
 */
export function parseSigningAuthority(pair: KeyPairPem): SigningAuthority {
  const { chain, privateKey } = loadAuthorityPair(pair);
  if (chain.length !== 1) {
    throw keyPairError(
      "certificateAuthority.certificateCount",
      `invalid CA certificate: expected a single certificate, found ${chain.length} certificates`,
    );
  }
  if (!chain[0].isCa) {
    throw keyPairError(
      "certificateAuthority.notCa",
      "invalid CA certificate: passed in key pair is not a CA",
    );
  }
  return { certificate: chain[0], privateKey };
}

function loadAuthorityPair(pair: KeyPairPem): ReturnType<typeof parseKeyPair> {
  try {
    return parseKeyPair(pair);
  } catch (error) {
    if (error instanceof LanyardError) {
      throw new LanyardError({
        code: error.code,
        message: `could not load CA: ${error.message}`,
        cause: error,
      });
    }
    throw error;
  }
}

/** A usable serving pair: a leaf that is not a CA, with its key (contract 6.4). Refusals of `parseKeyPair`, and `keyPair.servingIsCa`. */
export function parseServingKeyPair(pair: KeyPairPem): ReturnType<typeof parseKeyPair> {
  const parsed = parseKeyPair(pair);
  if (parsed.chain[0].isCa) {
    throw keyPairError("keyPair.servingIsCa", "invalid serving certificate: passed in key pair is a CA");
  }
  return parsed;
}
