import { LanyardError } from "../../../errors.ts";
import type { Identity } from "../../../identity/identity.ts";
import type { Logger } from "../../../telemetry/log.ts";
import type { AuthorizationDecision, Authorizer, RequestAttributes } from "../../request/authorizer.ts";
import { forbidden, StatusError } from "../../request/status.ts";
import { INVALID_VERB, proxyReason } from "../authorization-reason.ts";
import { internalServerError } from "../refusals.ts";
import type { RequestContext, Step, StepResult } from "../request-context.ts";

/** Sessions that a WebSocket opens with GET although they do more than read. */
const SESSIONS = new Set(["exec", "attach", "portforward"]);

/** The review of the request itself for the user it acts as (contract 7.4), besides the kube-apiserver's own. */
export function createAuthorizationStep(options: {
  readonly authorizer: Authorizer;
  readonly log: Logger;
}): Step {
  const { authorizer, log } = options;

  const judge = (user: Identity, attributes: RequestAttributes, decision: AuthorizationDecision): void => {
    if (!decision.allowed) {
      throw new StatusError(forbidden(user, attributes, proxyReason(decision.reason)));
    }
  };

  const review = (
    context: RequestContext,
    user: Identity,
    questions: readonly RequestAttributes[],
    from: number,
  ): StepResult | Promise<StepResult> => {
    for (let index = from; index < questions.length; index++) {
      const attributes = questions[index] ?? context.attributes;
      if (attributes.verb === "") {
        judge(user, attributes, INVALID_VERB);
      }
      context.reviews.push({ user, attributes });
      const known = authorizer.known?.(user, attributes);
      if (known === undefined) {
        return authorizer.authorize(user, attributes).then(
          (decision) => {
            judge(user, attributes, decision);
            return review(context, user, questions, index + 1);
          },
          (error: unknown) => {
            log.error("the authorizer gave no answer", error, { auditID: context.auditID });
            const shown =
              error instanceof LanyardError ? error.publicMessage : "no answer from the authorizer";
            return internalServerError(context.request.target, shown);
          },
        );
      }
      judge(user, attributes, known);
    }
    return undefined;
  };

  return {
    name: "authorization",
    run: (context) => {
      const { identity, attributes } = context;
      if (identity === undefined) {
        throw new TypeError("a request without a user reached its review");
      }
      return review(context, identity, questionsOf(attributes), 0);
    },
  };
}

/**
 * Field test 14, stricter than older kube-apiservers on purpose: what runs in a container needs `create`, however it is
 * asked for.
 */
function questionsOf(attributes: RequestAttributes): readonly RequestAttributes[] {
  return attributes.kind === "resource" &&
    attributes.verb === "get" &&
    attributes.resource === "pods" &&
    attributes.group === "" &&
    SESSIONS.has(attributes.subresource)
    ? [attributes, { ...attributes, verb: "create" }]
    : [attributes];
}
