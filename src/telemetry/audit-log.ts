import type { AuditEvent, AuditLog, PersonalInfo } from "./audit.ts";
import { callerOf } from "./caller.ts";
import type { JsonLines } from "./json-lines.ts";

const MAXIMUM_AUDIT_ID_LENGTH = 64;

/** Personal values that are lists or maps also when nobody set them. */
const EMPTY_VALUES: Readonly<Record<string, unknown>> = { groups: [], extra: {} };

/**
 * Audit lines on the process log's stream: `level, timestamp, caller, message, auditEvent, auditID, personalInfo?`, then
 * the event's fields; no `logger` (contract 2.5). The log level does not matter.
 */
export function createAuditLog(options: {
  readonly lines: JsonLines;
  /** `audit.logUsernamesAndGroups`; false: personal values are redacted. */
  readonly logUsernamesAndGroups: boolean;
}): AuditLog {
  // Each message comes from one place in the code: the stack trace, which costs more than the rest of the line, is taken once.
  const callers = new Map<string, string>();
  const record = (event: AuditEvent): void => {
    let caller = callers.get(event.message);
    if (caller === undefined) {
      caller = callerOf(record);
      callers.set(event.message, caller);
    }
    const body: Record<string, unknown> = {
      caller,
      message: event.message,
      auditEvent: true,
      auditID: event.auditID.slice(0, MAXIMUM_AUDIT_ID_LENGTH),
    };
    if (event.personalInfo !== undefined) {
      body["personalInfo"] = showPersonalInfo(event.personalInfo, options.logUsernamesAndGroups);
    }
    Object.assign(body, event.fields);
    options.lines.write("info", body, { mayWait: event.mayWait === true });
  };
  return { record };
}

/** How personal values appear, redacted or not (contract 2.5). */
export function showPersonalInfo(info: PersonalInfo, show: boolean): Readonly<Record<string, unknown>> {
  const shown: Record<string, unknown> = {};
  for (const key of Object.keys(info)) {
    const present = info[key] ?? EMPTY_VALUES[key] ?? "";
    shown[key] = show ? present : redact(present);
  }
  return shown;
}

function redact(value: unknown): unknown {
  if (Array.isArray(value)) {
    return [`redacted ${value.length} values`];
  }
  if (typeof value === "object" && value !== null) {
    return { redacted: `redacted ${Object.keys(value).length} keys` };
  }
  return "redacted";
}
