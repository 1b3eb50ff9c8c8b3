/** What an error tells, split by audience: `code` for programs, `publicMessage` for the caller, `message` and `cause` for the log. */
export interface LanyardErrorOptions {
  /** A stable, documented identifier such as `certificate.subject.empty`; never renamed once released. */
  readonly code: string;
  /** For the log; may name what the caller must not learn, never a token or a key. */
  readonly message: string;
  /** What the caller may read; defaults to `message`. */
  readonly publicMessage?: string | undefined;
  /** The HTTP status that fits; defaults to 500. */
  readonly httpStatus?: number | undefined;
  readonly cause?: unknown;
}

/** The base of every error that is not a programmer's mistake (those are `TypeError`). */
export class LanyardError extends Error {
  readonly code: string;
  readonly publicMessage: string;
  readonly httpStatus: number;

  constructor(options: LanyardErrorOptions) {
    super(options.message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "LanyardError";
    this.code = options.code;
    this.publicMessage = options.publicMessage ?? options.message;
    this.httpStatus = options.httpStatus ?? 500;
  }
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
