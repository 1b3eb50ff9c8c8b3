import type { HttpAnswer } from "./http-client.ts";

/** The Audit-ID of an answer, if it has one that is fit to be shown. */
export function auditIdOf(answer: Pick<HttpAnswer, "headers">): Pick<HttpAnswer, "auditId"> {
  const value = answer.headers["audit-id"]?.split(",", 1)[0]?.trim() ?? "";
  return /^[\w.:-]{1,128}$/.test(value) ? { auditId: value } : {};
}

/** ` (audit ID <id>)` to be put behind the error of a failed call (contract cli.md 11), or nothing. */
export function auditIdText(answer: Pick<HttpAnswer, "auditId">): string {
  return answer.auditId === undefined ? "" : ` (audit ID ${answer.auditId})`;
}
