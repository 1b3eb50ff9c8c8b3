const HTML_OR_SEPARATOR = /[<>&\u2028\u2029]/g;

/** JSON as Go's `encoding/json` writes it: `<`, `>`, `&`, U+2028 and U+2029 are escaped. Keys stay in the order given. */
export function goJson(value: unknown): string {
  return escapeJsonAsGo(JSON.stringify(value));
}

/** The same, indented by two spaces (`json.MarshalIndent`). */
export function prettyGoJson(value: unknown): string {
  return escapeJsonAsGo(JSON.stringify(value, undefined, 2));
}

/** The same for JSON that is written already: none of these characters has a meaning in it outside of strings. */
export function escapeJsonAsGo(json: string): string {
  return json.replace(
    HTML_OR_SEPARATOR,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
