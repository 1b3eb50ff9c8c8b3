import { isNotFound } from "../../kube/api-error.ts";
import { mergeConditions } from "../../kube/conditions.ts";
import type { ConditionFinding } from "../../kube/conditions.ts";
import { EXPRESSION_CONDITION_TYPES } from "./authenticator-expressions.ts";
import { success } from "./authenticator-findings.ts";
import type {
  AuthenticatorControllerOptions,
  AuthenticatorKind,
  AuthenticatorObject,
} from "./authenticator-reconcile.ts";

const MAXIMUM_MESSAGE_LENGTH = 32_768;

/** Brings findings into the object's status with `Ready` and the phase; writes only when something differs (contract 4.2). */
export async function writeAuthenticatorStatus<T extends AuthenticatorObject>(
  kind: AuthenticatorKind<T>,
  object: T,
  findings: readonly ConditionFinding[],
  ready: boolean,
  { store, clock }: Pick<AuthenticatorControllerOptions, "store" | "clock">,
): Promise<void> {
  const readiness: ConditionFinding = ready
    ? success("Ready", `the ${kind.kind} is ready`)
    : {
        type: "Ready",
        status: "False",
        reason: "NotReady",
        message: `the ${kind.kind} is not ready: see other conditions for details`,
      };
  const merged = mergeConditions({
    existing: object.status?.conditions,
    findings: [...findings, readiness].map((finding) => ({ ...finding, message: bounded(finding.message) })),
    observedGeneration: object.metadata.generation ?? 0,
    now: clock.now(),
    ownTypes: EXPRESSION_CONDITION_TYPES,
  });
  const phase = ready ? "Ready" : "Error";
  if (!merged.changed && object.status?.phase === phase) {
    return;
  }
  try {
    await store.updateStatus(kind.resource, {
      ...object,
      status: { ...object.status, conditions: [...merged.conditions], phase },
    });
  } catch (error) {
    // Deleted meanwhile: there is nothing left to report on.
    if (!isNotFound(error)) {
      throw error;
    }
  }
}

/** The API server takes no longer messages. */
function bounded(message: string): string {
  const characters = Array.from(message);
  if (characters.length <= MAXIMUM_MESSAGE_LENGTH) {
    return message;
  }
  const kept = MAXIMUM_MESSAGE_LENGTH - 40;
  return `${characters.slice(0, kept).join("")} [truncated ${characters.length - kept} chars]`;
}
