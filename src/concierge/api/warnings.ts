const MAXIMUM_TOTAL = 4096;
const MAXIMUM_EACH = 256;

/**
 * `Warning` header values (RFC 7234 section 5.5, code 299) for the API server's clients to show. Long texts are cut and
 * what goes beyond 4 KiB is left out, as in the generic API server. UTF-8 goes out as its bytes (H5).
 */
export function warningHeaders(texts: readonly string[]): string[] {
  const headers: string[] = [];
  let total = 0;
  for (const text of texts) {
    const shown = text.replace(/\p{Cc}/gu, "").slice(0, MAXIMUM_EACH);
    total += shown.length;
    if (total > MAXIMUM_TOTAL) {
      break;
    }
    const quoted = shown.replaceAll("\\", "\\\\").replaceAll('"', '\\"');
    headers.push(`299 - "${Buffer.from(quoted.toWellFormed(), "utf8").toString("latin1")}"`);
  }
  return headers;
}
