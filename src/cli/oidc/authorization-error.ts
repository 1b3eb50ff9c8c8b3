import { goQuote } from "../../go-text.ts";
import { onOneLine } from "./failed-call.ts";

/** What an authorization response says instead of giving a code (RFC 6749 section 4.1.2.1). */
export function describeAuthorizationError(parameters: URLSearchParams): string {
  const description = onOneLine(parameters.get("error_description") ?? "");
  const text = `login failed with code ${goQuote(parameters.get("error") ?? "")}`;
  return description === "" ? text : `${text}: ${description}`;
}
