import { isDenied } from "../request/deny-list.ts";
import type { DenyList } from "../state/proxy.ts";
import type { RequestContext } from "./request-context.ts";

/** Whether the original or the final user, the credential or its token is on the list (S15). */
export function isCallerDenied(
  list: DenyList,
  { caller, identity, nested }: Pick<RequestContext, "caller" | "identity" | "nested">,
  now: number,
): boolean {
  if (list.entries.length === 0 || caller === undefined) {
    return false;
  }
  const { credentialIDs, tokenIDs } = caller;
  return (
    isDenied(list, { username: caller.identity.username, credentialIDs, tokenIDs }, now) ||
    (nested && isDenied(list, { username: identity?.username }, now))
  );
}
