import { goQuote } from "../../go-text.ts";

/** Why Go's `url.Parse` would refuse an address, `parse "<url>": <reason>`, or nothing when it is sound enough to be called. */
export function goUrlRefusal(text: string): string | undefined {
  const reason = refusalOf(text);
  return reason === undefined ? undefined : `parse ${goQuote(text)}: ${reason}`;
}

/** What addresses look like whose every check below would pass: names of letters, digits, dots and hyphens, or IPv4, and no escapes in the path. */
const PLAIN =
  /^https:\/\/(?:(?:[a-z][a-z0-9-]{0,60}\.)*[a-z][a-z0-9-]{0,60}|(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d))(?::[1-5]?\d{1,4})?(?:\/[A-Za-z0-9/._~-]*)?$/;

function refusalOf(text: string): string | undefined {
  // `xn--` begins a name in Punycode, which may be none.
  if (PLAIN.test(text) && !text.includes("--")) {
    return undefined;
  }
  if (/[\x00-\x1f\x7f]/.test(text)) {
    return "net/url: invalid control character in URL";
  }
  if (text.startsWith(":")) {
    return "missing protocol scheme";
  }
  const scheme = /^[A-Za-z][A-Za-z0-9+.-]*:/.exec(text)?.[0] ?? "";
  if (scheme === "" && /^[^/?]*:/.test(text)) {
    return "first path segment in URL cannot contain colon";
  }
  const rest = text.slice(scheme.length).split(/[?#]/, 1)[0] ?? "";
  const authority = /^\/\/(?<authority>[^/]*)/.exec(rest)?.groups?.["authority"] ?? "";
  const host = authority.slice(authority.lastIndexOf("@") + 1);
  const port = /^(?:\[[^\]]*\]|[^:]*)(?<port>:.*)$/.exec(host)?.groups?.["port"];
  if (port !== undefined && !/^:\d*$/.test(port)) {
    return `invalid port ${goQuote(port)} after host`;
  }
  const badEscape = /%(?![0-9A-Fa-f]{2}).{0,2}/u.exec(rest)?.[0];
  if (badEscape !== undefined) {
    return `invalid URL escape ${goQuote(badEscape)}`;
  }
  const badCharacter = /[ "<>^`{|}\\]/.exec(host)?.[0];
  if (badCharacter !== undefined) {
    return `invalid character ${goQuote(badCharacter)} in host name`;
  }
  return scheme.toLowerCase() === "https:" && !URL.canParse(text) ? "invalid host or port" : undefined;
}
