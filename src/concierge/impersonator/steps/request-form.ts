import type { ConciergeState } from "../../state/concierge-state.ts";
import { refuseForm } from "../request-form.ts";
import type { Step } from "../request-context.ts";

/** Whatever two programs could read in two ways ends here, before anybody asks who sent it (engineering.md 4.3). */
export function createRequestFormStep({
  state,
}: {
  readonly state: Pick<ConciergeState, "requestHeader">;
}): Step {
  return {
    name: "request-form",
    run: ({ request }) => refuseForm(request, state.requestHeader.current),
  };
}
