import { isIPv4, isIPv6 } from "node:net";
import { headerValues } from "./raw-headers.ts";

export interface RequestSourceOptions {
  readonly rawHeaders: readonly string[];
  /** The TCP peer; undefined once it has gone. */
  readonly peerAddress: string | undefined;
  /** The peer's certificate was verified as a front proxy's, for this request. */
  readonly fromFrontProxy: boolean;
  /** Whether an address is one of our own Pods: the impersonation proxy forwards through the API server. */
  readonly isOwnPod: (address: string) => boolean;
}

/**
 * Where a request comes from, for rate limits (S18): the last `X-Forwarded-For` hop, believed only from a verified front
 * proxy; if that hop is one of our own Pods, the hop before it; otherwise the TCP peer. IPv6 addresses count by their /64,
 * as one subscriber holds at least that.
 */
export function requestSource(options: RequestSourceOptions): string {
  const peer = options.peerAddress ?? "unknown";
  if (!options.fromFrontProxy) {
    return sourceKey(peer);
  }
  const hops = headerValues(options.rawHeaders, "x-forwarded-for").flatMap((value) =>
    value
      .split(",")
      .map((hop) => normalizeAddress(hop.trim()))
      .filter((hop) => hop !== ""),
  );
  const last = hops.at(-1);
  const hop = last !== undefined && options.isOwnPod(last) ? (hops.at(-2) ?? last) : last;
  return hop === undefined || !(isIPv4(hop) || isIPv6(hop)) ? sourceKey(peer) : sourceKey(hop);
}

function normalizeAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  return mapped ?? address;
}

function sourceKey(address: string): string {
  if (!address.includes(":")) {
    return address;
  }
  const normalized = normalizeAddress(address);
  if (!isIPv6(normalized)) {
    return normalized;
  }
  const [head = "", tail] = normalized.split("%")[0]?.toLowerCase().split("::") ?? [];
  const front = head === "" ? [] : head.split(":");
  const back = tail === undefined || tail === "" ? [] : tail.split(":");
  const groups =
    tail === undefined
      ? front
      : [...front, ...Array<string>(Math.max(0, 8 - front.length - back.length)).fill("0"), ...back];
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ""))
    .join(":")}::/64`;
}
