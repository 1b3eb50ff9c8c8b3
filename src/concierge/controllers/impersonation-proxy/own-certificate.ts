import { isDeepStrictEqual } from "node:util";
import { LanyardError, messageOf } from "../../../errors.ts";
import { secrets } from "../../../kube/objects.ts";
import type { Secret } from "../../../kube/objects.ts";
import { issueServingCertificate } from "../../../pki/certificate-authority.ts";
import { verifyClientCertificate } from "../../../pki/certificate-verification.ts";
import { extendedKeyUsage, parseCertificateBundle } from "../../../pki/certificate.ts";
import { parseServingKeyPair } from "../../../pki/key-pair.ts";
import type { Logger } from "../../../telemetry/log.ts";
import type { KeyPair } from "../../state/concierge-state.ts";
import { secretData, secretTexts } from "../serving-certificate-secret.ts";
import { ownValidity } from "./own-authority.ts";
import type { OwnSecret } from "./own-authority.ts";
import { canonicalAddress } from "./proxy-endpoint.ts";
import type { ServerNames } from "./proxy-endpoint.ts";
import type { SyncWrites } from "./sync-writes.ts";

/**
 * The proxy's serving certificate for `names` from its Secret; made anew, Secret and all, when it cannot be used or is for
 * other names (contract 6.6). Undefined: there is none that fits and this replica does not lead.
 */
export async function ensureOwnCertificate(
  { view, namespace, name, labels }: OwnSecret,
  authority: KeyPair,
  names: ServerNames,
  { writes, now, log }: { readonly writes: SyncWrites; readonly now: number; readonly log: Logger },
): Promise<KeyPair | undefined> {
  const present = view.get({ namespace, name });
  if (present !== undefined) {
    const pair = tlsPair(present);
    const problem = findProblem(pair, authority, names, now);
    if (problem === undefined) {
      return pair;
    }
    if (!(await writes.remove(secrets, present))) {
      return undefined;
    }
    log.info("the impersonation proxy's serving certificate is made anew", { secret: name, reason: problem });
  }
  const leaf = await issueServingCertificate(authority, { ...names, ...ownValidity(now) });
  const created = await writes.create(secrets, {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace, labels },
    type: "kubernetes.io/tls",
    data: secretData({ "tls.crt": leaf.certificatePem, "tls.key": leaf.privateKeyPem }),
  });
  return created === undefined ? undefined : tlsPair(created);
}

/** Deletes the Secret of the proxy's own serving certificate, if there is one. */
export async function removeOwnCertificate(
  { view, namespace, name }: OwnSecret,
  writes: SyncWrites,
): Promise<void> {
  const present = view.get({ namespace, name });
  if (present !== undefined) {
    await writes.remove(secrets, present);
  }
}

/** The pair of a Secret of type kubernetes.io/tls, as it is. */
export function tlsPair(secret: Secret): KeyPair {
  const texts = secretTexts(secret);
  return { certificatePem: texts["tls.crt"] ?? "", privateKeyPem: texts["tls.key"] ?? "" };
}

/** Why `pair` cannot serve `names` now under `authority`; undefined when it can. */
function findProblem(pair: KeyPair, authority: KeyPair, names: ServerNames, now: number): string | undefined {
  try {
    const [leaf, ...intermediates] = parseServingKeyPair(pair).chain;
    verifyClientCertificate({
      certificate: leaf,
      intermediates,
      bundle: parseCertificateBundle(authority.certificatePem),
      usage: extendedKeyUsage.serverAuth,
      now,
    });
    const wanted = { dnsNames: names.dnsNames, ipAddresses: names.ipAddresses };
    return isDeepStrictEqual(namesOf(leaf.x509.subjectAltName ?? ""), wanted)
      ? undefined
      : "it is for other names";
  } catch (error) {
    if (!(error instanceof LanyardError)) {
      throw error;
    }
    return messageOf(error);
  }
}

/**
 * The names in Node's text of the SANs, in order. What is neither a plain DNS name nor an address stays as an entry that
 * equals no name, so that such a certificate is made anew.
 */
function namesOf(subjectAltName: string): ServerNames {
  const entries = subjectAltName === "" ? [] : subjectAltName.split(", ");
  const ADDRESS = "IP Address:";
  const DNS = "DNS:";
  return {
    dnsNames: entries
      .filter((entry) => !entry.startsWith(ADDRESS))
      .map((entry) => (entry.startsWith(DNS) ? entry.slice(DNS.length) : `?${entry}`)),
    ipAddresses: entries
      .filter((entry) => entry.startsWith(ADDRESS))
      .map((entry) => canonicalAddress(entry.slice(ADDRESS.length))),
  };
}
