/** The last results: a busy server asks for the same few seconds again and again. */
const formatted = new Map<number, string>();
const MAXIMUM_FORMATTED = 64;

/** RFC 3339 in UTC, whole seconds, as `metav1.Time` prints it; the rest of the second is cut off. */
export function formatSeconds(milliseconds: number): string {
  const second = Math.floor(milliseconds / 1000);
  let text = formatted.get(second);
  if (text === undefined) {
    text = `${new Date(second * 1000).toISOString().slice(0, 19)}Z`;
    if (formatted.size >= MAXIMUM_FORMATTED) {
      formatted.clear();
    }
    formatted.set(second, text);
  }
  return text;
}
