import type { CommandContext, TextOutput } from "../context.ts";

/** What each terminal has been told already, by all clients of this process. */
const shown = new WeakMap<TextOutput, Set<string>>();

/**
 * Shows the texts of `Warning: 299` headers (RFC 7234 section 5.5, as kube-apiservers use them) on stderr: on a terminal each once,
 * the word in yellow unless `NO_COLOR` is set or `TERM` is `dumb` (contract cli.md 1).
 */
export function showWarnings(context: Pick<CommandContext, "stderr" | "environment">, header: string): void {
  const { stderr, environment } = context;
  for (const text of warningTexts(header)) {
    if (stderr.isTerminal) {
      const before = shown.get(stderr) ?? new Set();
      shown.set(stderr, before);
      if (before.has(text)) {
        continue;
      }
      before.add(text);
    }
    const colour =
      stderr.isTerminal && environment["NO_COLOR"] === undefined && environment["TERM"] !== "dumb";
    stderr.write(`${colour ? "\u001b[33;1mWarning:\u001b[0m" : "Warning:"} ${text}\n`);
  }
}

/** The texts with code 299 in one or several joined headers; what is not well-formed is left out. */
export function warningTexts(header: string): readonly string[] {
  const values = header.matchAll(/(?<code>\d{3}) [^\s"]+ "(?<text>(?:[^"\\]|\\.)*)"(?: "[^"]*")?/g);
  return [...values]
    .filter(({ groups }) => groups?.["code"] === "299")
    .map(({ groups }) => printable((groups?.["text"] ?? "").replaceAll(/\\(.)/g, "$1")))
    .filter((text) => text !== "");
}

/** A server must not be able to move the cursor of a terminal. */
function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]/gu, "");
}
