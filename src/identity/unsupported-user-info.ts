import type { Identity } from "./identity.ts";

/** The one extra key that an authenticator may set (contract 2.3); it is dropped from a certificate. */
export const CREDENTIAL_ID_EXTRA = "authentication.kubernetes.io/credential-id";

/**
 * Why a certificate cannot be issued to this identity, as the audit line says it, or nothing when it can: the refusals of
 * contract 2.3 and those of S2. The text never holds the name or any other value.
 */
export function unsupportedUserInfo(identity: Identity): string | undefined {
  if (identity.username === "") {
    return "empty username is not allowed";
  }
  if (identity.uid !== undefined && identity.uid !== "") {
    return "UIDs are not supported";
  }
  const extraKeys = Object.keys(identity.extra);
  if (extraKeys.length > 1 || (extraKeys.length === 1 && extraKeys[0] !== CREDENTIAL_ID_EXTRA)) {
    return `extra may have only one key '${CREDENTIAL_ID_EXTRA}'`;
  }
  return valueThatHttpChanges(identity);
}

/**
 * S2, for every way of authenticating: what HTTP does not carry unchanged would reach the kube-apiserver as another name than the
 * one that was reviewed. Answers why the identity is refused, without any value of it, or nothing.
 */
export function valueThatHttpChanges(identity: Identity): string | undefined {
  if (identity.username === "") {
    return "empty username is not allowed";
  }
  if (identity.groups.includes("")) {
    return "empty group is not allowed";
  }
  return (
    faultIn("username", identity.username) ??
    (identity.uid === undefined ? undefined : faultIn("UID", identity.uid)) ??
    faultInAny("group", identity.groups) ??
    faultInAny("extra key", Object.keys(identity.extra)) ??
    faultInAny("extra value", Object.values(identity.extra).flat())
  );
}

function faultInAny(what: string, texts: readonly string[]): string | undefined {
  for (const text of texts) {
    const fault = faultIn(what, text);
    if (fault !== undefined) {
      return fault;
    }
  }
  return undefined;
}

function faultIn(what: string, text: string): string | undefined {
  const fault = faultOf(text);
  return fault === undefined ? undefined : `${what} ${fault}`;
}

/** Edge white space and control characters in one look: most texts need no second one. */
const SUSPICIOUS = /^[ \t]|[ \t]$|\p{Cc}/u;

function faultOf(text: string): string | undefined {
  if (!text.isWellFormed()) {
    return "is not valid UTF-8";
  }
  if (!SUSPICIOUS.test(text)) {
    return undefined;
  }
  if (/^[ \t]|[ \t]$/.test(text)) {
    return "starts or ends with a space or a tab";
  }
  return /\p{Cc}/u.test(text) ? "contains a control character" : undefined;
}
