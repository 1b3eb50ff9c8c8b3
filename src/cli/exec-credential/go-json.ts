const ESCAPES: Readonly<Record<string, string>> = {
  "<": "\\u003c",
  ">": "\\u003e",
  "&": "\\u0026",
  "\u2028": "\\u2028",
  "\u2029": "\\u2029",
};

/** Compact JSON as Go's encoder writes it: `<`, `>`, `&` and the two Unicode line ends escaped. Undefined fields are left out. */
export function goJson(value: unknown): string {
  // None of these has a meaning outside of strings, so the text as a whole can be escaped.
  return JSON.stringify(value).replaceAll(
    /[<>&\u2028\u2029]/g,
    (character) => ESCAPES[character] ?? character,
  );
}
