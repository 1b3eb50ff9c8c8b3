/** The levels of contract cli.md 1: errors always show, the others by command and `PINNIPED_DEBUG`. */
export type CommandLogLevel = "error" | "info" | "debug";

/** Log lines on stderr in the form of contract cli.md 1. Values never hold tokens, keys or passwords. */
export interface CommandLog {
  error(message: string, values?: Readonly<Record<string, unknown>>): void;
  info(message: string, values?: Readonly<Record<string, unknown>>): void;
  debug(message: string, values?: Readonly<Record<string, unknown>>): void;
  /** Shows lines of this level and above from now on; the default is `error`. */
  setLevel(level: CommandLogLevel): void;
}
