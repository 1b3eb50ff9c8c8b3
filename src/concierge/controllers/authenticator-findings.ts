import type { ConditionFinding } from "../../kube/conditions.ts";

/** A condition that holds. */
export function success(type: string, message: string): ConditionFinding {
  return { type, status: "True", reason: "Success", message };
}

/** A condition that an earlier failure keeps from being judged. */
export function unableToValidate(type: string): ConditionFinding {
  return {
    type,
    status: "Unknown",
    reason: "UnableToValidate",
    message: "unable to validate; see other conditions for details",
  };
}

/** A condition that does not hold. */
export function failure(type: string, reason: string, message: string): ConditionFinding {
  return { type, status: "False", reason, message };
}
