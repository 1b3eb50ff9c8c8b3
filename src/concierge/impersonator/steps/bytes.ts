import type { Identity } from "../../../identity/identity.ts";
import { valueThatHttpChanges } from "../../../identity/unsupported-user-info.ts";
import { failedCheck, UNABLE_TO_ACT } from "../refusals.ts";
import type { Step } from "../request-context.ts";

/**
 * S2, however the caller authenticated: a name that HTTP does not carry unchanged would be reviewed as one user and reach the
 * kube-apiserver as another.
 */
export function createBytesStep(): Step {
  /** Identities of certificates come again and again (S12). */
  const good = new WeakSet<Identity>();
  return {
    name: "bytes",
    run: ({ caller }) => {
      if (caller === undefined || good.has(caller.identity)) {
        return undefined;
      }
      if (valueThatHttpChanges(caller.identity) !== undefined) {
        return failedCheck(UNABLE_TO_ACT);
      }
      good.add(caller.identity);
      return undefined;
    },
  };
}
