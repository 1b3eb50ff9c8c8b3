/** How a flag's value is read (contract cli.md 1): Go's notation for durations, ports are uint16, lists are CSV and may repeat. */
export type FlagKind = "string" | "boolean" | "list" | "port" | "duration";

/** A flag of a command, as data: parsing, help, completion and the Markdown reference come from it. */
export interface FlagSpecification {
  /** Without the dashes. */
  readonly name: string;
  /** One letter, without the dash. */
  readonly shorthand?: string;
  readonly kind: FlagKind;
  /** As it would be typed; lists joined with commas. */
  readonly defaultValue?: string;
  /** One line; a word in backquotes names the value in the help. */
  readonly description: string;
  readonly required?: boolean;
  readonly hidden?: boolean;
  /** Still accepted; what is printed when it is used, after `Flag --<name> has been deprecated, `. */
  readonly deprecated?: string;
  /** Values that the shells offer. */
  readonly choices?: readonly string[];
  /** What else the shells offer: names of files, or the contexts of the kubeconfig in `--kubeconfig`; absent: nothing. */
  readonly completion?: "file" | "kubeconfig-context";
}

/** The flags of one call. Asking for a name or kind that the command has not declared is a programmer's mistake (`TypeError`). */
export interface ParsedFlags {
  string(name: string): string;
  boolean(name: string): boolean;
  list(name: string): readonly string[];
  port(name: string): number;
  /** Milliseconds. */
  duration(name: string): number;
  /** Whether it was given at all, also when as empty text. */
  given(name: string): boolean;
}
