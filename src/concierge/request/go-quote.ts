const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\u0007": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
};

/** Text in double quotes as Go's `%q` writes it; Kubernetes' messages quote names this way. */
export function goQuote(text: string): string {
  return `"${text.replace(/["\\]|[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, (character) => {
    const short = SHORT_ESCAPES[character];
    if (short !== undefined) {
      return short;
    }
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x80) {
      return `\\x${hex(code, 2)}`;
    }
    return code < 0x10000 ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`;
  })}"`;
}

function hex(code: number, width: number): string {
  return code.toString(16).padStart(width, "0");
}
