import { LanyardError } from "../../../errors.ts";
import { isAlreadyExists, isConflict } from "../../../kube/api-error.ts";

/** Something that somebody has to change; trying again alone does not help. Its text is the strategy's message. */
export function setupFault(message: string, cause?: unknown): LanyardError {
  return new LanyardError({ code: "impersonationProxy.setup", message, cause });
}

/** Something that passes by itself; its text is the strategy's message. */
export function pending(message: string): LanyardError {
  return new LanyardError({ code: "impersonationProxy.pending", message });
}

/** Says whether `error` passes by itself (contract 5.3): what is not there yet, and writes that lost a race. */
export function isPending(error: unknown): boolean {
  return hasCode(error, "impersonationProxy.pending") || isConflict(error) || isAlreadyExists(error);
}

/** Says whether the next change of an object, and nothing sooner, may help. */
export function waitsForChange(error: unknown): boolean {
  return hasCode(error, "impersonationProxy.setup") || hasCode(error, "impersonationProxy.pending");
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof LanyardError && error.code === code;
}
