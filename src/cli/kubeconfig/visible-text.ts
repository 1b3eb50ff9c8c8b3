import { goQuote } from "../../go-text.ts";
import { CommandError } from "../command-error.ts";
import type { CommandContext } from "../context.ts";

/** What Go calls printable; the rest can move a cursor, ring, or make one line look like two. */
const notPrintable = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu;

/** The text on one line, with escapes in place of what a terminal would obey: clusters and issuers are not trusted with it. */
export function visibleText(text: string): string {
  return text.replace(notPrintable, (character) => goQuote(character).slice(1, -1));
}

/** A `CommandError` whose text may hold what a cluster or an issuer said. */
export function failure(code: string, message: string, cause?: unknown): CommandError {
  return new CommandError(code, visibleText(message), cause);
}

/** Values for a log line; texts in them, which clusters and issuers may have chosen, are made visible. */
export function visibleValues(values: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return visibleValue(values) as Readonly<Record<string, unknown>>;
}

/** The context for calls whose audit ID is in the error's text or of no use; their lines would only repeat it. */
export function withoutLog(context: CommandContext): CommandContext {
  const nothing = (): void => {};
  return { ...context, log: { error: nothing, info: nothing, debug: nothing, setLevel: nothing } };
}

function visibleValue(value: unknown): unknown {
  if (typeof value === "string") {
    return visibleText(value);
  }
  if (Array.isArray(value)) {
    return value.map(visibleValue);
  }
  return typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).map(([key, item]) => [visibleText(key), visibleValue(item)]))
    : value;
}
