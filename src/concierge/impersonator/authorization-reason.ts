import type { AuthorizationDecision } from "../request/authorizer.ts";

const BASE = "decision made by impersonation-proxy.concierge.pinniped.dev";

/** Says in every refusal that it was this proxy's, not the kube-apiserver's (contract 7.4). */
export function proxyReason(reason: string): string {
  return reason === "" ? BASE : `${reason}, ${BASE}`;
}

/** The reason of a request without a verb. */
export const INVALID_VERB: AuthorizationDecision = { allowed: false, reason: "invalid verb" };
