import { badRequest, StatusError } from "./status.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * All values of one header in order, repeats kept (H4); `name` in lower case. The text is latin1: one character a byte.
 * `rawHeaders` are Node's name and value pairs.
 */
export function headerValues(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const key = rawHeaders[index] ?? "";
    if (key.length === name.length && key.toLowerCase() === name) {
      values.push(rawHeaders[index + 1] ?? "");
    }
  }
  return values;
}

/** The headers whose lower-case name starts with `prefix`: lower-case rest of the name, and value as latin1. */
export function prefixedHeaders(
  rawHeaders: readonly string[],
  prefix: string,
): { rest: string; value: string }[] {
  const found: { rest: string; value: string }[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const key = (rawHeaders[index] ?? "").toLowerCase();
    if (key.startsWith(prefix)) {
      found.push({ rest: key.slice(prefix.length), value: rawHeaders[index + 1] ?? "" });
    }
  }
  return found;
}

const BEYOND_ASCII = /[^\x00-\x7f]/;

/** Bytes that came as latin1, read as strict UTF-8 (H5); anything else is a 400. */
export function decodeHeaderText(latin1: string, header: string): string {
  if (!BEYOND_ASCII.test(latin1)) {
    return latin1;
  }
  try {
    return utf8.decode(Buffer.from(latin1, "latin1"));
  } catch (cause) {
    throw new StatusError(badRequest(`header ${header} is not valid UTF-8`), { cause });
  }
}

/** The only `Authorization` header, decoded; two of them are a 400 (H4: whose request would it be?). */
export function authorizationHeader(rawHeaders: readonly string[]): string | undefined {
  const values = headerValues(rawHeaders, "authorization");
  if (values.length > 1) {
    throw new StatusError(badRequest("more than one Authorization header"));
  }
  const [value] = values;
  return value === undefined ? undefined : decodeHeaderText(value, "Authorization");
}
