import { derChildren, readDer } from "./der-reader.ts";
import { readSubject } from "./distinguished-name.ts";

/** Whom a client certificate is for. */
export interface CertifiedUser {
  readonly username: string;
  readonly groups: readonly string[];
}

/**
 * A last look at a client certificate with the reader's eyes (engineering.md 4.7): it names this user, these groups and this key
 * (SubjectPublicKeyInfo, DER), or it must not leave. Only the two fields are read: everything costs ten times as much. Throws a
 * `TypeError`, for the mistake is the encoder's, and `der.malformed` or `certificate.subject.malformed` for bytes that are none.
 */
export function requireCertificateSays(
  der: Uint8Array,
  { username, groups }: CertifiedUser,
  spki: Uint8Array,
): void {
  const [content] = derChildren(readDer(der));
  const fields = content === undefined ? [] : derChildren(content);
  const [subject, key] = [fields[5], fields[6]];
  if (fields.length !== 8 || subject === undefined || key?.raw.equals(spki) !== true) {
    throw new TypeError("the encoded certificate does not hold the key that it was asked to");
  }
  const { commonName, organizations, uid } = readSubject(subject.raw);
  if (commonName !== username || uid !== undefined || !sameNames(organizations, groups)) {
    throw new TypeError("the encoded certificate names another subject than it was asked to");
  }
}

/** Each as often in one as in the other, in any order: the encoder sorts. */
function sameNames(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) {
    return false;
  }
  const sorted = b.toSorted();
  return a.toSorted().every((name, index) => name === sorted[index]);
}
