import { goQuote } from "../../go-text.ts";
import { loginError } from "./failed-call.ts";

/** Refuses every URL that is not https (contract cli.md 4.4): tokens and codes go there. `name` is how the error calls it. */
export function checkHttpsUrl(name: string, url: string): void {
  const scheme = /^(?<scheme>[A-Za-z][A-Za-z0-9+.-]*):/.exec(url)?.groups?.["scheme"]?.toLowerCase() ?? "";
  if (scheme === "https" ? !URL.canParse(url) : /^[^/?#]*[^A-Za-z0-9+./?#-][^/?#]*:/.test(url)) {
    throw loginError(`${name} is not a valid URL: parse ${goQuote(url)}: invalid URL`);
  }
  if (scheme !== "https") {
    throw loginError(`${name} must be an https URL, but had scheme ${goQuote(scheme)} instead`);
  }
}
