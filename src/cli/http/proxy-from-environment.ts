import { BlockList, isIP } from "node:net";
import { domainToASCII } from "node:url";

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy that a Go program would use for this address, or nothing: `HTTPS_PROXY` or `HTTP_PROXY` by the address's scheme, upper
 * case first, minus what `NO_PROXY` names (golang.org/x/net/http/httpproxy). `localhost` and loopback addresses are never proxied.
 */
export function proxyFromEnvironment(url: URL, environment: Environment): URL | undefined {
  const proxy = parseProxy(
    url.protocol === "https:"
      ? (firstValue(environment, "HTTPS_PROXY", "https_proxy") ?? "")
      : (firstValue(environment, "HTTP_PROXY", "http_proxy") ?? ""),
  );
  if (proxy === undefined) {
    return undefined;
  }
  const host = withoutBrackets(url.hostname).toLowerCase();
  const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
  return isExempt(host, port, firstValue(environment, "NO_PROXY", "no_proxy") ?? "") ? undefined : proxy;
}

/** `host:port` means `http://host:port`, as Go reads it; nothing for what is no address at all. */
export function parseProxy(text: string): URL | undefined {
  const trimmed = text.trim();
  if (trimmed === "") {
    return undefined;
  }
  for (const candidate of [trimmed, `http://${trimmed}`]) {
    const url = URL.canParse(candidate) ? new URL(candidate) : undefined;
    if (url !== undefined && url.hostname !== "") {
      return url;
    }
  }
  return undefined;
}

function firstValue(environment: Environment, ...names: readonly string[]): string | undefined {
  return names.map((name) => environment[name]).find((value) => value !== undefined && value !== "");
}

function isExempt(host: string, port: string, noProxy: string): boolean {
  if (host === "localhost" || isLoopback(host)) {
    return true;
  }
  const entries = noProxy
    .split(",")
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== "");
  return entries.some((entry) => entry === "*" || matches(entry, host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  const range = /^(?<address>[^/]+)\/(?<bits>\d{1,3})$/.exec(entry)?.groups;
  if (range !== undefined) {
    return isInRange(host, range["address"] ?? "", Number(range["bits"]));
  }
  const { name, port: entryPort } = splitPort(entry);
  if (name === "" || (entryPort !== undefined && entryPort !== "" && entryPort !== port)) {
    return false;
  }
  if (isIP(name) !== 0) {
    return isIP(host) === isIP(name) && listOf(name).check(host, familyOf(host));
  }
  const withoutStar = name.startsWith("*.") ? name.slice(1) : name;
  if (withoutStar.startsWith(".")) {
    return host.endsWith(`.${ascii(withoutStar.slice(1))}`);
  }
  return host === ascii(withoutStar) || host.endsWith(`.${ascii(withoutStar)}`);
}

/** Go's `net.SplitHostPort`: only the last colon of a name, and of an IPv6 address only the one behind its brackets. */
function splitPort(entry: string): { readonly name: string; readonly port?: string } {
  const bracketed = /^\[(?<name>[^\]]*)\]:(?<port>\d*)$/.exec(entry)?.groups;
  const plain = /^(?<name>[^:]*):(?<port>[^:]*)$/.exec(entry)?.groups;
  const groups = bracketed ?? plain;
  return groups === undefined
    ? { name: withoutBrackets(entry) }
    : { name: groups["name"] ?? "", port: groups["port"] ?? "" };
}

function isInRange(host: string, network: string, bits: number): boolean {
  const family = isIP(network);
  if (family === 0 || family !== isIP(host) || bits > (family === 4 ? 32 : 128)) {
    return false;
  }
  const list = new BlockList();
  list.addSubnet(network, bits, familyOf(network));
  return list.check(host, familyOf(host));
}

function isLoopback(host: string): boolean {
  return isInRange(host, "127.0.0.0", 8) || (isIP(host) === 6 && listOf("::1").check(host, "ipv6"));
}

function listOf(address: string): BlockList {
  const list = new BlockList();
  list.addAddress(address, familyOf(address));
  return list;
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIP(address) === 6 ? "ipv6" : "ipv4";
}

function withoutBrackets(host: string): string {
  return host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
}

function ascii(name: string): string {
  return domainToASCII(name) || name;
}
