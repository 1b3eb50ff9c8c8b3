import { isIP } from "node:net";
import { goQuoteBytes } from "./go-text.ts";

export type EndpointAddressResult =
  { readonly host: string; readonly port: number; readonly error?: undefined } | { readonly error: string };

const dns1123Subdomain = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;

/**
 * Reads `host`, `host:port`, an IPv4 or IPv6 address, the latter in brackets when a port follows (contract 5.3).
 * `host` comes back without brackets.
 */
export function parseEndpointAddress(endpoint: string, defaultPort: number): EndpointAddressResult {
  const split = splitHostPort(endpoint) ?? { host: endpoint, port: String(defaultPort) };
  const port = /^[+-]?[0-9]+$/.test(split.port) ? Number(split.port) : 0;
  if (port < 1 || port > 65535) {
    return { error: `invalid port ${goQuoteBytes(split.port)}` };
  }
  const { host } = split;
  const isAddress = isIP(host) !== 0 && !host.includes("%");
  if (!isAddress && (host.length > 253 || !dns1123Subdomain.test(host.toLowerCase()))) {
    return { error: `host ${goQuoteBytes(host)} is not a valid hostname or IP address` };
  }
  return { host, port };
}

/** As Go's `net.SplitHostPort`; nothing when that refuses. */
function splitHostPort(endpoint: string): { host: string; port: string } | undefined {
  const bracketed = /^\[(?<host>[^[\]]*)\]:(?<port>[^:[\]]*)$/.exec(endpoint)?.groups;
  const plain = /^(?<host>[^:[\]]*):(?<port>[^:[\]]*)$/.exec(endpoint)?.groups;
  const groups = bracketed ?? plain;
  return groups === undefined ? undefined : { host: groups["host"] ?? "", port: groups["port"] ?? "" };
}
