import type { Identity } from "../../identity/identity.ts";
import { goJson } from "../../go-json.ts";

/** Extra keys of ours; nobody else may set one (contract 7.6). */
export const RESERVED_EXTRA_SUFFIX = ".impersonation-proxy.concierge.pinniped.dev";
export const ORIGINAL_USER_INFO_EXTRA = `original-user-info${RESERVED_EXTRA_SUFFIX}`;

/** The user behind a nested impersonation as Go writes an `authentication/v1 UserInfo`: fixed order, nothing empty, keys sorted. */
export function originalUserInfo({ username, uid = "", groups, extra }: Identity): string {
  // Text by text: an object of JavaScript would put keys that look like numbers first.
  const sorted = Object.entries(extra)
    .toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .map(([key, values]) => `${goJson(key)}:${goJson(values)}`);
  const members = [
    ...(username === "" ? [] : [`"username":${goJson(username)}`]),
    ...(uid === "" ? [] : [`"uid":${goJson(uid)}`]),
    ...(groups.length === 0 ? [] : [`"groups":${goJson(groups)}`]),
    ...(sorted.length === 0 ? [] : [`"extra":{${sorted.join(",")}}`]),
  ];
  return `{${members.join(",")}}`;
}
