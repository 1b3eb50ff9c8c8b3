import { LanyardError } from "../errors.ts";
import { derElement, derObjectIdentifier, derSequence, derSetOf, derTag, derUtf8String } from "./der.ts";
import { derChildren, expectDer, malformedDer, readDer, readDerObjectIdentifier } from "./der-reader.ts";
import type { DerElement } from "./der-reader.ts";

const COMMON_NAME = "2.5.4.3";
const ORGANIZATION = "2.5.4.10";
/** Subject attribute of a user's UID (Kubernetes `apiserver/pkg/authentication/request/x509`, contract 7.3). */
const USER_UID = "1.3.6.1.4.1.57683.2";

const commonNameType = derObjectIdentifier(COMMON_NAME);
const organizationType = derObjectIdentifier(ORGANIZATION);

/** The user that a client certificate's subject names, as Kubernetes reads it. */
export interface CertificateSubject {
  /** Empty when there is none; with several the last one counts, as in Go. */
  readonly commonName: string;
  readonly organizations: readonly string[];
  readonly uid?: string | undefined;
}

/**
 * DER `Name` of one user: all groups in one multi-valued RDN (SET order), then the common name; without groups the
 * common name alone (contract 2.4). The values are UTF8String bytes, never parsed.
 */
export function encodeClientSubject(username: string, groups: readonly string[]): Buffer {
  return encodeSubject(username, groups, derUtf8String);
}

/**
 * The same name with the string types that Go's `crypto/x509/pkix` chooses when it writes a name again: PrintableString
 * where the characters allow it. The cluster's signer reads and rewrites the subject of a PKCS#10 in this way
 * (Kubernetes `pkg/controller/certificates/authority`), so that only this form comes back byte for byte (S6).
 */
export function encodeRewrittenClientSubject(username: string, groups: readonly string[]): Buffer {
  return encodeSubject(username, groups, (value) =>
    GO_PRINTABLE.test(value)
      ? derElement(derTag.printableString, Buffer.from(value, "latin1"))
      : derUtf8String(value),
  );
}

/** `encoding/asn1` leaves `*` and `&` out of what it writes as PrintableString. */
const GO_PRINTABLE = /^[A-Za-z0-9 '()+,\-./:=?]*$/;

function encodeSubject(
  username: string,
  groups: readonly string[],
  encodeString: (value: string) => Buffer,
): Buffer {
  const commonName = derSetOf([derSequence(commonNameType, encodeString(username))]);
  if (groups.length === 0) {
    return derSequence(commonName);
  }
  return derSequence(
    derSetOf(groups.map((group) => derSequence(organizationType, encodeString(group)))),
    commonName,
  );
}

/**
 * Reads a DER `Name` the way Go's crypto/x509 does. Refusals: `der.malformed`; `certificate.subject.malformed` for a
 * NUL, a string outside its own alphabet, several UIDs or an empty one.
 */
export function readSubject(name: Uint8Array): CertificateSubject {
  let commonName = "";
  let uid: string | undefined;
  const organizations: string[] = [];
  for (const rdn of derChildren(expectDer(readDer(name), derTag.sequence, "a name"))) {
    for (const attribute of derChildren(expectDer(rdn, derTag.set, "a relative distinguished name"))) {
      const [type, value, ...rest] = derChildren(expectDer(attribute, derTag.sequence, "a name attribute"));
      if (value === undefined || rest.length > 0) {
        throw malformedDer("a name attribute is a type and a value");
      }
      const identifier = readAttributeType(type);
      const text = readDirectoryString(value);
      if (identifier === COMMON_NAME) {
        commonName = text;
      } else if (identifier === ORGANIZATION) {
        organizations.push(text);
      } else if (identifier === USER_UID) {
        if (uid !== undefined || text === "") {
          throw malformedSubject(
            text === "" ? "UID cannot be an empty string" : "expected 1 UID, but found multiple",
          );
        }
        uid = text;
      }
    }
  }
  return { commonName, organizations, uid };
}

/** Dotted form; the two that nearly every name consists of are known by their bytes, for decoding one costs more than the rest. */
function readAttributeType(type: DerElement | undefined): string {
  if (type?.raw.equals(organizationType) === true) {
    return ORGANIZATION;
  }
  return type?.raw.equals(commonNameType) === true
    ? COMMON_NAME
    : readDerObjectIdentifier(type, "an attribute type");
}

function malformedSubject(what: string): LanyardError {
  return new LanyardError({
    code: "certificate.subject.malformed",
    message: `invalid certificate subject: ${what}`,
    httpStatus: 400,
  });
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The text of a string type as Go's crypto/x509 decodes it; a NUL inside is refused (T13). */
function readDirectoryString(element: DerElement): string {
  const text = decodeDirectoryString(element);
  if (text.includes("\0")) {
    throw malformedSubject("a value contains NUL");
  }
  return text;
}

function decodeDirectoryString({ tag, content }: DerElement): string {
  switch (tag) {
    case derTag.utf8String:
      try {
        return utf8.decode(content);
      } catch {
        throw malformedSubject("a UTF8String is not UTF-8");
      }
    case derTag.printableString:
      return matching(content, /^[A-Za-z0-9 '()+,\-./:=?*&]*$/, "a PrintableString has other characters");
    case derTag.ia5String:
      return matching(content, /^[\0-\x7f]*$/, "an IA5String has other characters");
    case derTag.numericString:
      return matching(content, /^[0-9 ]*$/, "a NumericString has other characters");
    case derTag.t61String:
      // Go reads T.61 as Latin-1, like most of the world.
      return content.toString("latin1");
    case derTag.bmpString:
      return decodeBmpString(content);
    default:
      throw malformedSubject("a value is not a string");
  }
}

function matching(content: Buffer, alphabet: RegExp, refusal: string): string {
  const text = content.toString("latin1");
  if (!alphabet.test(text)) {
    throw malformedSubject(refusal);
  }
  return text;
}

function decodeBmpString(content: Buffer): string {
  if (content.length % 2 !== 0) {
    throw malformedSubject("a BMPString has an odd length");
  }
  const terminated = content.length >= 2 && content.readUInt16BE(content.length - 2) === 0;
  const units = terminated ? content.subarray(0, -2) : content;
  let text = "";
  for (let offset = 0; offset < units.length; offset += 2) {
    const unit = units.readUInt16BE(offset);
    if (unit >= 0xfffe || (unit >= 0xfdd0 && unit <= 0xfdef) || (unit >= 0xd800 && unit <= 0xdfff)) {
      throw malformedSubject("a BMPString has reserved code points");
    }
    text += String.fromCharCode(unit);
  }
  return text;
}
