import { isIP } from "node:net";
import { parseEndpointAddress } from "../../../endpoint-address.ts";
import { goQuote, toByteString } from "../../../go-text.ts";
import type { ImpersonationProxyTLSSpec } from "../../../resources/credential-issuer-spec.ts";
import type { CredentialIssuer } from "../../../resources/credential-issuer.ts";
import { setupFault } from "./setup-fault.ts";

/** What stands in front of the proxy. */
export type ProxyServiceType = "LoadBalancer" | "ClusterIP" | "None";

/** `spec.impersonationProxy.service`, checked. */
export interface ProxyServiceConfiguration {
  readonly type: ProxyServiceType;
  readonly annotations: Readonly<Record<string, string>>;
  /** An IPv4 or IPv6 address. */
  readonly loadBalancerIP: string | undefined;
  /** Undefined: the field is absent, and what the Service has is not touched. */
  readonly loadBalancerSourceRanges: readonly string[] | undefined;
  readonly loadBalancerClass: string | undefined;
}

/** `spec.impersonationProxy` of the CredentialIssuer, checked (contract 5.3). */
export type ProxyConfiguration =
  | { readonly mode: "disabled" }
  | {
      readonly mode: "auto" | "enabled";
      readonly service: ProxyServiceConfiguration;
      readonly externalEndpoint: { readonly host: string; readonly port: number } | undefined;
      readonly tls: ImpersonationProxyTLSSpec | undefined;
    };

export const HTTPS_PORT = 443;

/** Reads the spec; faults carry the contract's texts (5.3). Mode `disabled` skips every other check. */
export function readProxyConfiguration(issuer: Pick<CredentialIssuer, "spec">): ProxyConfiguration {
  // Not what the schema allows, but a folder of manifests or an older CRD may hold it.
  const spec = (issuer.spec as Partial<CredentialIssuer["spec"]> | undefined)?.impersonationProxy;
  if (spec === undefined) {
    throw setupFault("could not load CredentialIssuer: spec.impersonationProxy is nil");
  }
  const mode: string = spec.mode;
  if (mode === "disabled") {
    return { mode };
  }
  if (mode !== "auto" && mode !== "enabled") {
    throw invalid(`invalid proxy mode ${goQuote(mode)} (expected auto, disabled, or enabled)`);
  }
  const { externalEndpoint: endpoint = "" } = spec;
  const service = readService((spec as { readonly service?: typeof spec.service }).service ?? {});
  if (endpoint === "" && service.type === "None") {
    throw invalid("externalEndpoint must be set when service.type is None");
  }
  return { mode, service, externalEndpoint: readExternalEndpoint(endpoint), tls: spec.tls };
}

function readService(
  service: NonNullable<CredentialIssuer["spec"]["impersonationProxy"]["service"]>,
): ProxyServiceConfiguration {
  const type: string = service.type ?? "LoadBalancer";
  if (type !== "LoadBalancer" && type !== "ClusterIP" && type !== "None") {
    throw invalid(`invalid service type ${goQuote(type)} (expected None, LoadBalancer, or ClusterIP)`);
  }
  const { loadBalancerIP: address = "" } = service;
  if (address !== "" && (isIP(address) === 0 || address.includes("%"))) {
    throw invalid(`invalid LoadBalancerIP ${goQuote(address)}`);
  }
  return {
    type,
    annotations: service.annotations ?? {},
    loadBalancerIP: address === "" ? undefined : address,
    loadBalancerSourceRanges: service.loadBalancerSourceRanges,
    loadBalancerClass: service.loadBalancerClass,
  };
}

function readExternalEndpoint(
  endpoint: string,
): { readonly host: string; readonly port: number } | undefined {
  if (endpoint === "") {
    return undefined;
  }
  const address = parseEndpointAddress(toByteString(endpoint), HTTPS_PORT);
  if (address.error !== undefined) {
    throw invalid(`invalid ExternalEndpoint ${goQuote(endpoint)}: ${address.error}`);
  }
  return { host: address.host, port: address.port };
}

function invalid(text: string): Error {
  return setupFault(`could not load CredentialIssuer spec.impersonationProxy: ${text}`);
}
