/** Values that name a person; redacted unless `audit.logUsernamesAndGroups: enabled` (contract 2.5). */
export type PersonalInfo = Readonly<Record<string, unknown>>;

/** One audit line, before redaction; `fields` keep their order after `personalInfo`. */
export interface AuditEvent {
  readonly message: string;
  /** At most 64 characters. */
  readonly auditID: string;
  readonly personalInfo?: PersonalInfo;
  /** None of them is called as a member of every line is (contract 2.5). */
  readonly fields?: Readonly<Record<string, unknown>>;
  /** A further line about the same request follows at once or soon: both may go out in one write. */
  readonly mayWait?: boolean;
}

/** Writes audit lines; they are never filtered by the log level. */
export interface AuditLog {
  record(event: AuditEvent): void;
}
