import { isIPv6 } from "node:net";
import { goQuoteBytes, toByteString } from "../../go-text.ts";

/** A URL as Go's `net/url` reads it. All parts are byte strings (one UTF-8 byte per character). */
export interface GoUrl {
  /** Lower case; empty when there is none. */
  readonly scheme: string;
  /** Set for `scheme:something` without a slash. */
  readonly opaque: string;
  readonly userinfo: string | undefined;
  /** Host with port, percent-decoded. */
  readonly host: string;
  /** Percent-decoded. */
  readonly path: string;
  /** As written. */
  readonly rawPath: string;
  readonly rawQuery: string;
  /** Percent-decoded. */
  readonly fragment: string;
}

export type GoUrlResult =
  { readonly url: GoUrl; readonly error?: undefined } | { readonly url?: undefined; readonly error: string };

class UrlRefusal extends Error {}

/**
 * Accepts and refuses what Go's `url.Parse` does, since `spec.issuer`, `spec.endpoint` and `jwks_uri` are answered with Go's
 * texts (contract 4.4, 4.6, 13.2). `error` is the whole text, `parse "<url>": <reason>`.
 */
export function parseGoUrl(text: string): GoUrlResult {
  const bytes = toByteString(text);
  const hash = bytes.indexOf("#");
  const beforeFragment = hash === -1 ? bytes : bytes.slice(0, hash);
  // Go names the address without its fragment unless the fragment itself is at fault.
  let named = beforeFragment;
  try {
    const url = parseWithoutFragment(beforeFragment);
    named = bytes;
    return { url: { ...url, fragment: hash === -1 ? "" : unescape(bytes.slice(hash + 1), "path") } };
  } catch (error) {
    if (error instanceof UrlRefusal) {
      return { error: `parse ${goQuoteBytes(named)}: ${error.message}` };
    }
    throw error;
  }
}

/** Host without port and without the brackets of an IPv6 address. */
export function hostnameOf(host: string): string {
  return splitPort(host).hostname;
}

/** The digits after the last colon; empty when there are none. */
export function portOf(host: string): string {
  return splitPort(host).port;
}

function splitPort(host: string): { hostname: string; port: string } {
  const match = /^(?<hostname>[^]*?)(?::(?<port>[0-9]*))?$/.exec(host);
  const hostname = match?.groups?.["hostname"] ?? host;
  const port = match?.groups?.["port"] ?? "";
  return { hostname: /^\[[^]*\]$/.test(hostname) ? hostname.slice(1, -1) : hostname, port };
}

function parseWithoutFragment(text: string): Omit<GoUrl, "fragment"> {
  if (/[\x00-\x1f\x7f]/.test(text)) {
    throw new UrlRefusal("net/url: invalid control character in URL");
  }
  const empty = {
    scheme: "",
    opaque: "",
    userinfo: undefined,
    host: "",
    path: "",
    rawPath: "",
    rawQuery: "",
  };
  if (text === "*") {
    return { ...empty, path: "*", rawPath: "*" };
  }
  const { scheme, rest: afterScheme } = cutScheme(text);
  const question = afterScheme.indexOf("?");
  const rawQuery = question === -1 ? "" : afterScheme.slice(question + 1);
  let rest = question === -1 ? afterScheme : afterScheme.slice(0, question);
  if (!rest.startsWith("/")) {
    if (scheme !== "") {
      return { ...empty, scheme, opaque: rest, rawQuery };
    }
    if ((rest.split("/", 1)[0] ?? "").includes(":")) {
      throw new UrlRefusal("first path segment in URL cannot contain colon");
    }
  }
  let userinfo: string | undefined;
  let host = "";
  if (rest.startsWith("//") && (scheme !== "" || !rest.startsWith("///"))) {
    const end = rest.indexOf("/", 2);
    const authority = end === -1 ? rest.slice(2) : rest.slice(2, end);
    rest = end === -1 ? "" : rest.slice(end);
    const at = authority.lastIndexOf("@");
    host = parseHost(scheme, authority.slice(at + 1));
    userinfo = at === -1 ? undefined : parseUserinfo(authority.slice(0, at));
  }
  return { scheme, opaque: "", userinfo, host, path: unescape(rest, "path"), rawPath: rest, rawQuery };
}

function cutScheme(text: string): { scheme: string; rest: string } {
  if (text.startsWith(":")) {
    throw new UrlRefusal("missing protocol scheme");
  }
  const scheme = /^(?<scheme>[A-Za-z][A-Za-z0-9+.-]*):/.exec(text)?.groups?.["scheme"];
  return scheme === undefined
    ? { scheme: "", rest: text }
    : { scheme: scheme.toLowerCase(), rest: text.slice(scheme.length + 1) };
}

function parseUserinfo(userinfo: string): string {
  if (!/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(userinfo)) {
    throw new UrlRefusal("net/url: invalid userinfo");
  }
  const colon = userinfo.indexOf(":");
  for (const part of colon === -1 ? [userinfo] : [userinfo.slice(0, colon), userinfo.slice(colon + 1)]) {
    unescape(part, "path");
  }
  return userinfo;
}

function parseHost(scheme: string, host: string): string {
  const open = host.lastIndexOf("[");
  if (open > 0) {
    throw new UrlRefusal("invalid IP-literal");
  }
  if (open === 0) {
    return parseIpLiteral(host);
  }
  // One colon at most in http and https; elsewhere only the last one starts the port.
  const strict = scheme === "http" || scheme === "https";
  const colon = strict ? host.indexOf(":") : host.lastIndexOf(":");
  if (colon !== -1) {
    refuseBadPort(host.slice(colon));
  }
  return unescape(host, "host");
}

function parseIpLiteral(host: string): string {
  const close = host.lastIndexOf("]");
  if (close === -1) {
    throw new UrlRefusal("missing ']' in host");
  }
  const port = host.slice(close + 1);
  refuseBadPort(port);
  const literal = host.slice(1, close);
  const zone = literal.indexOf("%25");
  const address =
    zone === -1
      ? unescape(literal, "host")
      : unescape(literal.slice(0, zone), "host") + unescape(literal.slice(zone), "zone");
  const percent = address.indexOf("%");
  const bare = percent === -1 ? address : address.slice(0, percent);
  if (isIPv6(bare) && percent !== address.length - 1) {
    return `[${address}]${port}`;
  }
  if (/^[0-9]{1,3}(?:\.[0-9]{1,3}){3}$/.test(address)) {
    throw new UrlRefusal("invalid IP-literal");
  }
  throw new UrlRefusal(`invalid host: ParseAddr(${goQuoteBytes(address)}): unable to parse IP`);
}

function refuseBadPort(colonPort: string): void {
  if (!/^(?::[0-9]*)?$/.test(colonPort)) {
    throw new UrlRefusal(`invalid port ${goQuoteBytes(colonPort)} after host`);
  }
}

const hostByte = /^[A-Za-z0-9\-_.~!$&'()*+,;=:[\]<>"\x80-\xff]$/;

/** Percent-decodes; in hosts only non-ASCII bytes may be escaped (RFC 3986 section 3.2.2), in zones also what a host may hold (RFC 6874). */
function unescape(text: string, where: "path" | "host" | "zone"): string {
  for (let position = 0; position < text.length; position++) {
    const character = text.charAt(position);
    if (character === "%") {
      const escape = text.slice(position, position + 3);
      if (!/^%[0-9A-Fa-f]{2}$/.test(escape)) {
        throw new UrlRefusal(`invalid URL escape ${goQuoteBytes(escape)}`);
      }
      const decoded = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
      const allowed =
        where === "path" ||
        escape === "%25" ||
        (where === "host"
          ? decoded >= "\x80"
          : decoded === " " || (hostByte.test(decoded) && decoded < "\x80"));
      if (!allowed) {
        throw new UrlRefusal(`invalid URL escape ${goQuoteBytes(escape)}`);
      }
      position += 2;
    } else if (where !== "path" && !hostByte.test(character)) {
      throw new UrlRefusal(`invalid character ${goQuoteBytes(character)} in host name`);
    }
  }
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_match, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
}
