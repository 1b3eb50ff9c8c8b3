/** Anything that could be secret holds one of these; most lines hold none, and pay for these searches alone. */
const SUSPICIOUS = ["eyJ", "PRIVATE KEY-----", "LS0tLS1CRUdJTi", "earer"];

/** A compact JWS or JWE: its header is JSON, so it starts with `{"` in base64url. */
const JWT = /eyJ[\w-]{5,}(?:\.[\w-]*){2,4}/g;

/** A PEM key, also as JSON has it, cut off or whole. No two parts can match the same text: the time is linear. */
const PEM_KEY =
  /-----BEGIN [A-Z0-9 ]{0,20}PRIVATE KEY-----(?:[A-Za-z0-9+/=\s:,]|\\[nr])*(?:-----END [A-Z0-9 ]{0,20}PRIVATE KEY-----)?/g;

/** The same in base64, as Secrets hold it: `-----BEGIN PRIVATE`, `EC PRIVATE`, `RSA PRIVATE`, `ENCRYPTED PRIVATE`. */
const BASE64_KEY =
  /LS0tLS1CRUdJTi(?:BQUklWQVRF|BFQyBQUklWQVRF|BSU0EgUFJJVkFURS|BFTkNSWVBURUQgUFJJVkFURS)[A-Za-z0-9+/=]*/g;

const BEARER = /\b([Bb]earer)\s+(?!\[redacted)[\w.~+/-]{8,}=*/g;

/**
 * The last guard of design.md rule 4.5: what looks like a JWT, a bearer header or a private key is cut out of `text`,
 * which may be plain or JSON. Code must not count on it.
 */
export function redactTokens(text: string): string {
  if (!SUSPICIOUS.some((part) => text.includes(part))) {
    return text;
  }
  return text
    .replaceAll(PEM_KEY, "[redacted private key]")
    .replaceAll(BASE64_KEY, "[redacted private key]")
    .replaceAll(JWT, "[redacted token]")
    .replaceAll(BEARER, "$1 [redacted token]");
}
