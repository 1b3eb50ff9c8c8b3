import type { Clock } from "../../../clock.ts";
import { messageOf } from "../../../errors.ts";
import type { Identity } from "../../../identity/identity.ts";
import { valueThatHttpChanges } from "../../../identity/unsupported-user-info.ts";
import type { Logger } from "../../../telemetry/log.ts";
import type { AuthorizationDecision, Authorizer, RequestAttributes } from "../../request/authorizer.ts";
import { badRequest, forbidden, StatusError, timedOut } from "../../request/status.ts";
import { proxyReason } from "../authorization-reason.ts";
import {
  impersonatedIdentity,
  impersonationAttributes,
  impersonationItems,
  printItems,
} from "../impersonation-request.ts";
import { failedCheck, internalServerError } from "../refusals.ts";
import type { RequestContext, Step, StepResult } from "../request-context.ts";

export interface NestedImpersonationOptions {
  readonly authorizer: Authorizer;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Inbound `Impersonate-*` headers, as the kube-apiserver treats them (contract 7.4). */
export function createNestedImpersonationStep(options: NestedImpersonationOptions): Step {
  return {
    name: "nested-impersonation",
    run: (context) => (context.impersonates ? impersonate(options, context) : undefined),
  };
}

async function impersonate(
  options: NestedImpersonationOptions,
  context: RequestContext,
): Promise<StepResult> {
  const { rawHeaders, target } = context.request;
  const { items } = impersonationItems(rawHeaders);
  const [first] = items;
  if (first === undefined) {
    // What is left of that prefix is the last handler's to refuse (contract 7.5), after the review of the request.
    return undefined;
  }
  if (first.kind !== "User" && first.kind !== "ServiceAccount") {
    return internalServerError(target, `requested ${printItems(items)} without impersonating a user`);
  }
  const identity = impersonatedIdentity(items);
  const fault = valueThatHttpChanges(identity);
  if (fault !== undefined) {
    // S2: it would be reviewed as one name and arrive as another.
    throw new StatusError(badRequest(`impersonation headers cannot be carried unchanged: ${fault}`));
  }
  const original = context.caller?.identity;
  for (const item of items) {
    const attributes = impersonationAttributes(item);
    if (original === undefined || !(await isAllowed(options, context, original, attributes))) {
      throw new StatusError(forbidden(original ?? identity, attributes, proxyReason("")));
    }
  }
  context.identity = identity;
  context.nested = true;
  return undefined;
}

/** A refusal with a reason of its own is thrown from here. No answer is a refusal (S4). */
async function isAllowed(
  { authorizer, clock, log }: NestedImpersonationOptions,
  context: RequestContext,
  user: Identity,
  attributes: RequestAttributes,
): Promise<boolean> {
  if (
    context.ended ||
    (!context.longRunning && clock.now() - context.startedAt > context.deadlineMilliseconds)
  ) {
    throw new StatusError(timedOut("request did not complete within the allotted timeout"));
  }
  context.reviews.push({ user, attributes });
  let decision: AuthorizationDecision;
  try {
    decision = authorizer.known?.(user, attributes) ?? (await authorizer.authorize(user, attributes));
  } catch (error) {
    log.error("no answer about an impersonation", error, {
      auditID: context.auditID,
      reason: messageOf(error),
    });
    return false;
  }
  if (!decision.allowed && decision.reason !== "") {
    throw new StatusError(forbidden(user, attributes, proxyReason(decision.reason)));
  }
  return decision.allowed;
}

/** Contract 7.5: a header of that prefix which nobody understood. */
export function createLeftoverImpersonationStep(): Step {
  return {
    name: "leftover-impersonation",
    run: ({ impersonates, request }) =>
      impersonates && impersonationItems(request.rawHeaders).unknown
        ? failedCheck("invalid impersonation")
        : undefined,
  };
}
