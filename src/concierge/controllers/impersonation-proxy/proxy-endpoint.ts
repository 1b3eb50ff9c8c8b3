import { isIP, SocketAddress } from "node:net";
import type { Service } from "../../../kube/resources.ts";
import { LanyardError } from "../../../errors.ts";
import { HTTPS_PORT } from "./proxy-configuration.ts";
import type { ProxyConfiguration } from "./proxy-configuration.ts";
import type { ProxyServices } from "./proxy-services.ts";

/** Names in a serving certificate: IP addresses, or exactly one DNS name (contract 6.2). */
export interface ServerNames {
  readonly dnsNames: readonly string[];
  /** In the form that `canonicalAddress` gives. */
  readonly ipAddresses: readonly string[];
}

/** Under what the proxy is reached. */
export interface ProxyEndpoint {
  readonly names: ServerNames;
  /** `host` or `host:port`, as it stands in a URL. */
  readonly clientEndpoint: string;
}

/**
 * The proxy's name (contract 6.6): the external endpoint, else that of the ClusterIP Service or of the load balancer.
 * Undefined: not known yet.
 */
export function findProxyEndpoint(
  configuration: Exclude<ProxyConfiguration, { readonly mode: "disabled" }>,
  services: ProxyServices,
): ProxyEndpoint | undefined {
  if (configuration.externalEndpoint !== undefined) {
    const { host, port } = configuration.externalEndpoint;
    return endpointOf([host], port);
  }
  return configuration.service.type === "ClusterIP"
    ? ofClusterIP(services.clusterIP)
    : ofLoadBalancer(services.loadBalancer);
}

function ofClusterIP(service: Service | undefined): ProxyEndpoint | undefined {
  const { clusterIP = "", clusterIPs = [] } = service?.spec ?? {};
  const addresses = (clusterIPs.length > 0 ? clusterIPs : [clusterIP]).filter((each) => isIP(each) !== 0);
  return addresses.length === 0 ? undefined : endpointOf(addresses);
}

function ofLoadBalancer(service: Service | undefined): ProxyEndpoint | undefined {
  const ingress = service?.status?.loadBalancer?.ingress ?? [];
  const [first] = ingress;
  if (
    service === undefined ||
    first === undefined ||
    ((first.hostname ?? "") === "" && (first.ip ?? "") === "")
  ) {
    return undefined;
  }
  const name =
    ingress.map(({ hostname = "" }) => hostname).find((hostname) => hostname !== "") ??
    ingress.map(({ ip = "" }) => ip).find((ip) => isIP(ip) !== 0);
  if (name === undefined) {
    const { namespace = "", name: serviceName } = service.metadata;
    throw new LanyardError({
      code: "impersonationProxy.loadBalancer",
      message: `could not find valid IP addresses or hostnames from load balancer ${namespace}/${serviceName}`,
    });
  }
  return endpointOf([name]);
}

/** All of `hosts` are names of the certificate, the first is what clients are told. */
function endpointOf(hosts: readonly string[], port = HTTPS_PORT): ProxyEndpoint {
  const [host = ""] = hosts;
  // Brackets without a port too: a URL cannot be read without them.
  const shown = isIP(host) === 6 ? `[${host}]` : host;
  return {
    names:
      isIP(host) === 0
        ? { dnsNames: [host], ipAddresses: [] }
        : { dnsNames: [], ipAddresses: hosts.map(canonicalAddress) },
    clientEndpoint: port === HTTPS_PORT ? shown : `${shown}:${port}`,
  };
}

/** One text for one address: IPv6 has many. */
export function canonicalAddress(address: string): string {
  return isIP(address) === 6 ? new SocketAddress({ address, family: "ipv6" }).address : address;
}
