/** `""` shows warnings, errors and audit lines only (contract 9.3). */
export type LogLevel = "" | "info" | "debug" | "trace" | "all";

export type LogFields = Readonly<Record<string, unknown>>;

/**
 * JSON lines on stderr (contract 9.3). `message` is constant; what varies goes into `fields`.
 * Tokens, keys and passwords never go into either (S-rules, design.md section 4.5).
 */
export interface Logger {
  /** A logger whose lines carry `logger: <name>`. */
  named(name: string): Logger;
  error(message: string, error: unknown, fields?: LogFields): void;
  warning(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  trace(message: string, fields?: LogFields): void;
}

/** A logger that drops everything; for tests. */
export const silentLogger: Logger = {
  named: () => silentLogger,
  error: () => {},
  warning: () => {},
  info: () => {},
  debug: () => {},
  trace: () => {},
};
