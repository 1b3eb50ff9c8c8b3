import type { Identity } from "../../identity/identity.ts";
import { ORIGINAL_USER_INFO_EXTRA, originalUserInfo, RESERVED_EXTRA_SUFFIX } from "./original-user-info.ts";

const EXTRA_KEY = /^[a-z0-9/\-._]+$/;
/** RFC 9110 `tchar`, without `%`, which would read as an escape. */
const PLAIN_KEY_BYTE = /[A-Za-z0-9!#$&'*+.^_`|~-]/;

/**
 * The impersonation headers of an identity as name and value pairs, values as latin1 (contract 7.6). Undefined when it cannot
 * be said that way: an extra key that is not plain, or one of ours. `original` is the user behind a nested impersonation.
 */
export function impersonationHeaders(identity: Identity, original?: Identity): readonly string[] | undefined {
  const { username, groups, extra } = identity;
  const headers = ["Impersonate-User", latin1OfUtf8(username)];
  for (const group of groups) {
    headers.push("Impersonate-Group", latin1OfUtf8(group));
  }
  for (const [key, values] of Object.entries(extra)) {
    if (!EXTRA_KEY.test(key) || key.endsWith(RESERVED_EXTRA_SUFFIX)) {
      return undefined;
    }
    const name = `Impersonate-Extra-${escapeHeaderKey(key)}`;
    for (const value of values) {
      headers.push(name, latin1OfUtf8(value));
    }
  }
  if (original !== undefined) {
    headers.push(
      `Impersonate-Extra-${escapeHeaderKey(ORIGINAL_USER_INFO_EXTRA)}`,
      latin1OfUtf8(originalUserInfo(original)),
    );
  }
  return headers;
}

/** client-go's `headerKeyEscape`: bytes that a header name cannot hold, and `%`, as `%XX`. */
export function escapeHeaderKey(key: string): string {
  let escaped = "";
  for (const byte of Buffer.from(key)) {
    const character = String.fromCharCode(byte);
    escaped += PLAIN_KEY_BYTE.test(character)
      ? character
      : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return escaped;
}

/** UTF-8 as the latin1 text that Node writes byte for byte (H5). */
export function latin1OfUtf8(text: string): string {
  return /^[\x00-\x7f]*$/.test(text) ? text : Buffer.from(text).toString("latin1");
}
