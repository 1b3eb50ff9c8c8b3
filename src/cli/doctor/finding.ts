import type { CommandContext } from "../context.ts";

/** `warn`: it works, but not well or not for long; `fail`: it cannot work like this. */
export type FindingStatus = "ok" | "warn" | "fail";

/** What one check found, in one line, and what to do about it. Nothing secret is in either. */
export interface Finding {
  /** What was looked at, such as `issuer tls`. */
  readonly check: string;
  readonly status: FindingStatus;
  readonly message: string;
  readonly remedy?: string;
}

/** Receives findings as they are made. */
export interface Findings {
  ok(check: string, message: string): void;
  warn(check: string, message: string, remedy: string): void;
  fail(check: string, message: string, remedy: string): void;
  readonly all: readonly Finding[];
}

export function createFindings(onFinding: (finding: Finding) => void): Findings {
  const all: Finding[] = [];
  const add = (finding: Finding): void => {
    const shown = {
      ...finding,
      message: onOneLine(finding.message),
      ...(finding.remedy === undefined ? {} : { remedy: onOneLine(finding.remedy) }),
    };
    all.push(shown);
    onFinding(shown);
  };
  return {
    all,
    ok: (check, message) => add({ check, status: "ok", message }),
    warn: (check, message, remedy) => add({ check, status: "warn", message, remedy }),
    fail: (check, message, remedy) => add({ check, status: "fail", message, remedy }),
  };
}

const COLOURS: Readonly<Record<FindingStatus, string>> = { ok: "32", warn: "33", fail: "31" };

/** `ok    issuer tls: …`, the first word in colour where somebody sees it and `NO_COLOR` is not set. */
export function findingLine(
  finding: Finding,
  { stdout, environment }: Pick<CommandContext, "stdout" | "environment">,
): string {
  const { check, status, message, remedy } = finding;
  const colour = stdout.isTerminal && environment["NO_COLOR"] === undefined && environment["TERM"] !== "dumb";
  const word = status.padEnd(4);
  const shown = colour ? `\u001b[${COLOURS[status]}m${word}\u001b[0m` : word;
  return `${shown}  ${check}: ${message}${remedy === undefined ? "" : `; ${remedy}`}\n`;
}

/** Texts of servers and files must not move the cursor or fake findings. */
function onOneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, " ").trim();
}
