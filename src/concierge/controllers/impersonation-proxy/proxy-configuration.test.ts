import assert from "node:assert/strict";
import { test } from "node:test";
import type { CredentialIssuer } from "../../../resources/credential-issuer.ts";
import { readProxyConfiguration } from "./proxy-configuration.ts";

const read = (impersonationProxy: unknown): ReturnType<typeof readProxyConfiguration> =>
  readProxyConfiguration({ spec: { impersonationProxy } as CredentialIssuer["spec"] });

const prefix = "could not load CredentialIssuer spec.impersonationProxy: ";
const enabled = { mode: "enabled" };

const faults: readonly (readonly [title: string, spec: unknown, text: string])[] = [
  ["no proxy", undefined, "could not load CredentialIssuer: spec.impersonationProxy is nil"],
  [
    "unknown mode",
    { mode: "maybe" },
    `${prefix}invalid proxy mode "maybe" (expected auto, disabled, or enabled)`,
  ],
  [
    "unknown type",
    { ...enabled, service: { type: "NodePort" } },
    `${prefix}invalid service type "NodePort" (expected None, LoadBalancer, or ClusterIP)`,
  ],
  ...["10.0.0", "example.com", "fe80::1%eth0", "01.2.3.4"].map(
    (address) =>
      [
        `address ${address}`,
        { ...enabled, service: { loadBalancerIP: address } },
        `${prefix}invalid LoadBalancerIP "${address}"`,
      ] as const,
  ),
  [
    "no Service and no name",
    { ...enabled, service: { type: "None" } },
    `${prefix}externalEndpoint must be set when service.type is None`,
  ],
  [
    "port",
    { ...enabled, externalEndpoint: "example.com:http" },
    `${prefix}invalid ExternalEndpoint "example.com:http": invalid port "http"`,
  ],
  [
    "URL",
    { ...enabled, externalEndpoint: "https://example.com" },
    `${prefix}invalid ExternalEndpoint "https://example.com": invalid port "//example.com"`,
  ],
  [
    "host",
    { ...enabled, externalEndpoint: "exa mple.com" },
    `${prefix}invalid ExternalEndpoint "exa mple.com": host "exa mple.com" is not a valid hostname or IP address`,
  ],
  [
    "host of other letters",
    { ...enabled, externalEndpoint: "münchen.example" },
    `${prefix}invalid ExternalEndpoint "münchen.example": host "münchen.example" is not a valid hostname or IP address`,
  ],
];

for (const [title, spec, message] of faults) {
  test(`a fault of the spec has its text (contract 5.3): ${title}`, () => {
    assert.throws(() => read(spec), { message });
  });
}

test("mode disabled skips every other check", () => {
  assert.deepEqual(
    read({ mode: "disabled", service: { type: "x", loadBalancerIP: "y" }, externalEndpoint: "?" }),
    { mode: "disabled" },
  );
});

test("absent fields have the contract's defaults", () => {
  assert.deepEqual(read({ mode: "auto" }), {
    mode: "auto",
    service: {
      type: "LoadBalancer",
      annotations: {},
      loadBalancerIP: undefined,
      loadBalancerSourceRanges: undefined,
      loadBalancerClass: undefined,
    },
    externalEndpoint: undefined,
    tls: undefined,
  });
  const { externalEndpoint } = read({ ...enabled, externalEndpoint: "[::1]:8443" }) as {
    readonly externalEndpoint: unknown;
  };
  assert.deepEqual(externalEndpoint, { host: "::1", port: 8443 });
});
