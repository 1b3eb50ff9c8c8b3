import { CommandError } from "../command-error.ts";

/** An error of the login; its text is what follows `could not complete Pinniped login: `. */
export function loginError(message: string, cause?: unknown): CommandError {
  return new CommandError("cli.oidc.login", message, cause);
}

/** Why a call was ended from outside, in Go's words: its time was up, or somebody cancelled it. */
export function endOfContext(reason: unknown): string {
  const isTimeout = reason instanceof Error && reason.name === "TimeoutError";
  return isTimeout ? "context deadline exceeded" : "context canceled";
}

/** Throws when the whole login is over, so that nothing else is tried. */
export function throwIfOver(signal: AbortSignal): void {
  if (signal.aborted) {
    throw loginError(`the login was ended: ${endOfContext(signal.reason)}`, signal.reason);
  }
}

/** Adds the answer's Audit-ID, where it had one, to the text of a failed call (contract cli.md 11). */
export function withAuditId(text: string, auditId: string | undefined): string {
  return auditId === undefined ? text : `${text} (audit ID ${onOneLine(auditId)})`;
}

/** Foreign text for a terminal: control characters would move the cursor or fake lines of ours. */
export function onOneLine(text: string, maximumLength = 1000): string {
  const line = text
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ")
    .replaceAll(/ {2,}/g, " ")
    .trim();
  return line.length > maximumLength ? `${line.slice(0, maximumLength)}…` : line;
}
