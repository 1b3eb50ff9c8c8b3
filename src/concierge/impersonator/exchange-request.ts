import type { RequestAttributes } from "../request/authorizer.ts";

/** Contract 1.2: the group by its start, whatever the suffix. */
export function isTokenCredentialRequest(attributes: RequestAttributes): boolean {
  return (
    attributes.kind === "resource" &&
    attributes.resource === "tokencredentialrequests" &&
    attributes.group.startsWith("login.concierge.")
  );
}

/** The exchange itself: the one request that is said to be anonymous (S14), and told that it came through here (S9). */
export function isExchange(attributes: RequestAttributes): boolean {
  return (
    isTokenCredentialRequest(attributes) &&
    attributes.verb === "create" &&
    attributes.kind === "resource" &&
    attributes.subresource === ""
  );
}
