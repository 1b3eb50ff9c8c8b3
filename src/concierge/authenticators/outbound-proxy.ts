import { BlockList, isIP } from "node:net";
import { goQuote } from "../../go-text.ts";
import { hostnameOf, parseGoUrl, portOf } from "./go-url.ts";

/** The proxy for a URL: `undefined` means a direct connection; `error` says why it could not be determined. */
export type ProxyDecision =
  | { readonly proxy: URL | undefined; readonly error?: undefined }
  | { readonly error: string; readonly proxy?: undefined };

export type ProxyForUrl = (url: URL) => ProxyDecision;

/** Values of the environment variables of the same names, either case; absent or empty means unset. */
export interface OutboundProxySettings {
  readonly httpsProxy?: string | undefined;
  readonly noProxy?: string | undefined;
}

/** Connects directly, always. */
export const withoutProxy: ProxyForUrl = () => ({ proxy: undefined });

/**
 * Which proxy an https URL takes, with the meaning that Go programs give to `HTTPS_PROXY` and `NO_PROXY` (contract 4.4, 4.6):
 * `localhost` and loopback addresses never take one; `NO_PROXY` is a list of `*`, addresses, CIDR blocks, `name` (with its
 * subdomains), `.name` or `*.name` (subdomains alone), each but CIDR optionally with `:port`.
 */
export function createProxyForUrl(settings: OutboundProxySettings): ProxyForUrl {
  const configured = settings.httpsProxy?.trim() ?? "";
  if (configured === "") {
    return withoutProxy;
  }
  const decision = parseProxy(configured);
  const exceptions = parseNoProxy(settings.noProxy ?? "");
  return (url) => {
    const host = url.hostname.replace(/^\[|\]$/g, "").toLowerCase();
    const port = url.port === "" ? "443" : url.port;
    const direct =
      url.protocol !== "https:" ||
      isLoopback(host) ||
      exceptions.some((isExcepted) => isExcepted(host, port));
    return direct ? { proxy: undefined } : decision;
  };
}

function parseProxy(configured: string): ProxyDecision {
  const refusal: ProxyDecision = {
    error: `invalid proxy address ${goQuote(configured)}: it must be [http://|https://|socks5://]host[:port]`,
  };
  const schemes = /^(?:https?|socks5h?):\/\//i.test(configured);
  const text = schemes ? configured : `http://${configured}`;
  const parsed = parseGoUrl(text);
  if (parsed.url === undefined) {
    return { error: `invalid proxy address ${goQuote(configured)}: ${parsed.error}` };
  }
  if (parsed.url.host === "" || !URL.canParse(text)) {
    return refusal;
  }
  const proxy = new URL(text.replace(/^socks5h:/i, "socks5:"));
  return proxy.hostname === "" ? refusal : { proxy };
}

type Exception = (host: string, port: string) => boolean;

const everything: Exception = () => true;

function parseNoProxy(list: string): Exception[] {
  const exceptions: Exception[] = [];
  for (const untrimmed of list.split(",")) {
    const entry = untrimmed.trim().toLowerCase();
    if (entry === "*") {
      return [everything];
    }
    const exception = entry === "" ? undefined : (parseCidr(entry) ?? parseHostEntry(entry));
    if (exception !== undefined) {
      exceptions.push(exception);
    }
  }
  return exceptions;
}

function parseCidr(entry: string): Exception | undefined {
  const match = /^(?<network>[0-9a-f:.]+)\/(?<bits>[0-9]{1,3})$/.exec(entry)?.groups;
  const network = match?.["network"] ?? "";
  const bits = Number(match?.["bits"]);
  const version = isIP(network);
  if (version === 0 || bits > (version === 4 ? 32 : 128)) {
    return undefined;
  }
  const block = new BlockList();
  block.addSubnet(network, bits, version === 4 ? "ipv4" : "ipv6");
  return (host) => isIP(host) !== 0 && block.check(host, isIP(host) === 4 ? "ipv4" : "ipv6");
}

function parseHostEntry(entry: string): Exception | undefined {
  const isBareAddress = isIP(entry) !== 0;
  const wantedPort = isBareAddress ? "" : portOf(entry);
  const name = isBareAddress ? entry : hostnameOf(entry);
  const portFits = (port: string): boolean => wantedPort === "" || wantedPort === port;
  if (name === "") {
    return undefined;
  }
  if (isIP(name) !== 0) {
    const addresses = new BlockList();
    const version = isIP(name) === 4 ? "ipv4" : "ipv6";
    addresses.addAddress(name, version);
    return (host, port) =>
      portFits(port) && isIP(host) !== 0 && addresses.check(host, isIP(host) === 4 ? "ipv4" : "ipv6");
  }
  const domain = name.startsWith("*.") ? name.slice(1) : name;
  const suffix = domain.startsWith(".") ? domain : `.${domain}`;
  const matchesItself = !domain.startsWith(".");
  return (host, port) =>
    portFits(port) && isIP(host) === 0 && (host.endsWith(suffix) || (matchesItself && host === domain));
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

function isLoopback(host: string): boolean {
  const version = isIP(host);
  return host === "localhost" || (version !== 0 && loopback.check(host, version === 4 ? "ipv4" : "ipv6"));
}
