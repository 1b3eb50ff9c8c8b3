import type { ProxyAuthentication } from "../authentication.ts";
import type { Caller, RequestContext, Step, StepResult } from "../request-context.ts";

/** Contract 7.3. */
export function createAuthenticationStep(authentication: Pick<ProxyAuthentication, "authenticate">): Step {
  const settle = (context: RequestContext, caller: Caller): StepResult => {
    context.caller = caller;
    context.identity = caller.identity;
    return undefined;
  };
  return {
    name: "authentication",
    run: (context) => {
      const caller = authentication.authenticate(context);
      return caller instanceof Promise
        ? caller.then((found) => settle(context, found))
        : settle(context, caller);
    },
  };
}
