import type { Clock } from "../../../clock.ts";
import { serviceUnavailable, StatusError, unauthorized } from "../../request/status.ts";
import type { ConciergeState } from "../../state/concierge-state.ts";
import { isCallerDenied } from "../denied-caller.ts";
import type { Step } from "../request-context.ts";

/**
 * S15, before any cache is asked: a hit is a 401, and there is no other way in. `name` tells the two places of this step
 * apart: after authentication, and after nested impersonation has said who acts.
 */
export function createDenyListStep(options: {
  readonly name: string;
  readonly state: Pick<ConciergeState, "denyList">;
  readonly clock: Clock;
}): Step {
  const { name, state, clock } = options;
  return {
    name,
    run: (context) => {
      const list = state.denyList.current;
      if (list === undefined) {
        // Not read yet: no answer is a refusal (S4).
        throw new StatusError(serviceUnavailable("the deny list has not been read yet"));
      }
      if (list.entries.length > 0 && isCallerDenied(list, context, clock.now())) {
        throw new StatusError(unauthorized());
      }
      return undefined;
    },
  };
}
