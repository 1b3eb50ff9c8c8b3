import type { AuditEvent, AuditLog, PersonalInfo } from "./audit.ts";
import { callerOf } from "./caller.ts";
import type { JsonLines } from "./json-lines.ts";

const MAXIMUM_AUDIT_ID_LENGTH = 64;
const NO_FIELDS = {};

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
  const heads = new Map<string, string>();
  const record = ({ message, auditID, personalInfo, fields, mayWait }: AuditEvent): void => {
    let head = heads.get(message);
    if (head === undefined) {
      const members = JSON.stringify({ caller: callerOf(record), message, auditEvent: true });
      head = `${members.slice(1, -1)},"auditID":`;
      heads.set(message, head);
    }
    const body =
      personalInfo === undefined
        ? (fields ?? NO_FIELDS)
        : { personalInfo: showPersonalInfo(personalInfo, options.logUsernamesAndGroups), ...fields };
    options.lines.write("info", body, {
      mayWait: mayWait === true,
      head: head + JSON.stringify(auditID.slice(0, MAXIMUM_AUDIT_ID_LENGTH)),
    });
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
