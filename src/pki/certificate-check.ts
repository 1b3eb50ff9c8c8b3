import { derTag } from "./der.ts";
import { derSpanAt } from "./der-reader.ts";
import type { DerSpan } from "./der-reader.ts";

/** Whom a client certificate is for. */
export interface CertifiedUser {
  readonly username: string;
  readonly groups: readonly string[];
}

/** Which of the members of a TBSCertificate, counted from 0 (RFC 5280 section 4.1). */
const SUBJECT = 5;
const PUBLIC_KEY = 6;
const MEMBERS = 8;
/** OBJECT IDENTIFIERs of commonName and organizationName (RFC 5280 appendix A.1), contents octets. */
const COMMON_NAME = Buffer.from([0x55, 0x04, 0x03]);
const ORGANIZATION = Buffer.from([0x55, 0x04, 0x0a]);

/**
 * A last look at a client certificate with other eyes than the encoder's (engineering.md 4.7): it names this user, these groups and
 * this key (SubjectPublicKeyInfo, DER), or it must not leave. Only the two members are read, and no view of them is made: everything
 * costs ten times as much. Throws a `TypeError`, for the mistake is the encoder's, and `der.malformed` for bytes that are none.
 */
export function requireCertificateSays(
  der: Uint8Array,
  { username, groups }: CertifiedUser,
  spki: Uint8Array,
): void {
  const bytes = Buffer.from(der.buffer, der.byteOffset, der.byteLength);
  const certificate = derSpanAt(bytes, 0, bytes.length);
  const members = childrenOf(bytes, derSpanAt(bytes, certificate.start, certificate.end));
  const [before, subject, key] = [members[SUBJECT - 1], members[SUBJECT], members[PUBLIC_KEY]];
  if (
    certificate.end !== bytes.length ||
    members.length !== MEMBERS ||
    before === undefined ||
    subject === undefined ||
    key === undefined ||
    bytes.compare(spki, 0, spki.length, subject.end, key.end) !== 0
  ) {
    throw new TypeError("the encoded certificate does not hold the key that it was asked to");
  }
  if (!namesUser(bytes, subject, username, groups)) {
    throw new TypeError("the encoded certificate names another subject than it was asked to");
  }
}

/** One common name, and each group as often as it was asked for, in any order: the encoder sorts. */
function namesUser(bytes: Buffer, subject: DerSpan, username: string, groups: readonly string[]): boolean {
  const missing = new Map<string, number>();
  for (const group of groups) {
    missing.set(group, (missing.get(group) ?? 0) + 1);
  }
  let commonNames = 0;
  let organizations = 0;
  for (const set of childrenOf(bytes, subject)) {
    for (const attribute of childrenOf(bytes, set)) {
      const [type, value, ...more] = childrenOf(bytes, attribute);
      if (type?.tag !== derTag.objectIdentifier || value?.tag !== derTag.utf8String || more.length > 0) {
        return false;
      }
      const text = bytes.toString("utf8", value.start, value.end);
      if (bytes.compare(COMMON_NAME, 0, COMMON_NAME.length, type.start, type.end) === 0) {
        commonNames += text === username ? 1 : 2;
      } else if (bytes.compare(ORGANIZATION, 0, ORGANIZATION.length, type.start, type.end) === 0) {
        const count = missing.get(text) ?? 0;
        if (count === 0) {
          return false;
        }
        missing.set(text, count - 1);
        organizations++;
      } else {
        return false;
      }
    }
  }
  return commonNames === 1 && organizations === groups.length;
}

function childrenOf(bytes: Buffer, parent: DerSpan): DerSpan[] {
  const children: DerSpan[] = [];
  for (let offset = parent.start; offset < parent.end;) {
    const child = derSpanAt(bytes, offset, parent.end);
    children.push(child);
    offset = child.end;
  }
  return children;
}
