import { LanyardError } from "../errors.ts";

/** Whether a write was refused because this replica does not lead, also as the cause of another error (contract 6.8). */
export function isNotLeader(error: unknown): boolean {
  return (
    (error instanceof LanyardError && error.code === "leadership.required") ||
    (error instanceof Error && error.cause !== undefined && isNotLeader(error.cause))
  );
}
