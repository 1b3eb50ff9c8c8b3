import assert from "node:assert/strict";
import { test } from "node:test";
import type { Service } from "../../../kube/resources.ts";
import type { CredentialIssuer } from "../../../resources/credential-issuer.ts";
import { readProxyConfiguration } from "./proxy-configuration.ts";
import type { ProxyConfiguration } from "./proxy-configuration.ts";
import { findProxyEndpoint } from "./proxy-endpoint.ts";
import type { ProxyEndpoint } from "./proxy-endpoint.ts";

type Ingress = readonly { readonly ip?: string; readonly hostname?: string }[];

const service = (parts: Partial<Service>): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { namespace: "ns", name: "lb" },
  ...parts,
});
const find = (
  spec: object,
  { ingress, addresses }: { readonly ingress?: Ingress; readonly addresses?: readonly string[] } = {},
): ProxyEndpoint | undefined => {
  const configuration = readProxyConfiguration({
    spec: { impersonationProxy: { mode: "enabled", ...spec } } as CredentialIssuer["spec"],
  }) as Exclude<ProxyConfiguration, { readonly mode: "disabled" }>;
  return findProxyEndpoint(configuration, {
    loadBalancer: ingress && service({ status: { loadBalancer: { ingress } } }),
    clusterIP: addresses && service({ spec: { clusterIP: addresses[0] ?? "", clusterIPs: addresses } }),
  });
};
const dns = (name: string, clientEndpoint = name): ProxyEndpoint => ({
  names: { dnsNames: [name], ipAddresses: [] },
  clientEndpoint,
});
const ips = (clientEndpoint: string, ...ipAddresses: readonly string[]): ProxyEndpoint => ({
  names: { dnsNames: [], ipAddresses },
  clientEndpoint,
});

test("the external endpoint comes first, without the usual port", () => {
  const ingress = [{ ip: "1.2.3.4" }];
  const at = (externalEndpoint: string): ProxyEndpoint | undefined => find({ externalEndpoint }, { ingress });
  assert.deepEqual(at("a.example.com"), dns("a.example.com"));
  assert.deepEqual(at("a.example.com:443"), dns("a.example.com"));
  assert.deepEqual(at("a.example.com:8443"), dns("a.example.com", "a.example.com:8443"));
  assert.deepEqual(at("10.0.0.1:8443"), ips("10.0.0.1:8443", "10.0.0.1"));
  assert.deepEqual(at("[2001:DB8:0::1]:8443"), ips("[2001:DB8:0::1]:8443", "2001:db8::1"));
  assert.deepEqual(at("2001:db8::1"), ips("[2001:db8::1]", "2001:db8::1"));
});

test("a ClusterIP Service gives all its addresses to the certificate and the first to clients", () => {
  const type = { service: { type: "ClusterIP" } };
  assert.deepEqual(
    find(type, { addresses: ["10.0.0.1", "fd00::1"] }),
    ips("10.0.0.1", "10.0.0.1", "fd00::1"),
  );
  assert.deepEqual(
    find(type, { addresses: ["fd00::1", "10.0.0.1"] }),
    ips("[fd00::1]", "fd00::1", "10.0.0.1"),
  );
  assert.equal(find(type, { addresses: [] }), undefined);
  assert.equal(find(type, { addresses: ["None"] }), undefined);
  assert.equal(find(type), undefined);
});

test("a load balancer gives its first host name, else its first address", () => {
  assert.deepEqual(find({}, { ingress: [{ ip: "1.2.3.4" }, { hostname: "b.example" }] }), dns("b.example"));
  assert.deepEqual(find({}, { ingress: [{ ip: "not one" }, { ip: "1.2.3.4" }] }), ips("1.2.3.4", "1.2.3.4"));
  for (const ingress of [[], [{}], [{ ip: "", hostname: "" }, { ip: "1.2.3.4" }]]) {
    assert.equal(find({}, { ingress }), undefined, JSON.stringify(ingress));
  }
  assert.equal(find({}), undefined);
  assert.throws(() => find({}, { ingress: [{ ip: "not one" }] }), {
    message: "could not find valid IP addresses or hostnames from load balancer ns/lb",
  });
});
