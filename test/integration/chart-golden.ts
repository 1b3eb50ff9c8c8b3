// What the charts render for a few sets of values. After a change that is meant: node test/integration/chart-golden.ts --write
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { type HelmMajor, type Manifest, render } from "./chart-render.ts";

/** A set of values whose manifests are kept. */
export interface GoldenCase {
  readonly name: string;
  readonly chart: "lanyard-concierge";
  readonly values: Readonly<Record<string, unknown>>;
}

export const goldenCases: readonly GoldenCase[] = [
  { name: "default", chart: "lanyard-concierge", values: {} },
  {
    name: "managed",
    chart: "lanyard-concierge",
    values: {
      "kubeCertAgent.enabled": false,
      "rbac.profile": "narrow",
      impersonationProxy: {
        mode: "enabled",
        credential: "BearerToken",
        service: { type: "LoadBalancer", loadBalancerSourceRanges: ["192.0.2.0/24"] },
      },
      "networkPolicy.enabled": true,
    },
  },
  {
    name: "everything",
    chart: "lanyard-concierge",
    values: {
      appName: "login",
      "namespace.create": true,
      customLabels: { team: "platform" },
      replicas: 3,
      image: { repository: "registry.example.com/concierge", digest: `sha256:${"0".repeat(64)}` },
      imagePullDockerConfigJson: "e30=",
      podAnnotations: { "example.com/a": "1" },
      nodeSelector: { pool: "system" },
      tolerations: [{ operator: "Exists" }],
      priorityClassName: "system-cluster-critical",
      apiGroupSuffix: "auth.example.com",
      "kubeCertAgent.priorityClassName": "low",
      discoveryUrl: "https://cluster.example.com",
      impersonationProxy: {
        mode: "enabled",
        externalEndpoint: "proxy.example.com",
        service: { type: "None" },
        tls: { secretName: "proxy-tls", certificateAuthorityData: "Y2E=" },
        maximumStreamSeconds: 3600,
      },
      clientCertificate: { lifetimeSeconds: 600, maximumLifetimeSeconds: 3600, boundToToken: true },
      "certificateSigningRequestAPI.mode": "Enabled",
      logLevel: "debug",
      audit: { logUsernamesAndGroups: "enabled", proxiedRequests: "disabled", credentialEvents: "enabled" },
      httpsProxy: "http://proxy.example.com:3128",
      limits: { failuresPerSource: { perSecond: 5, burst: 10 }, concurrentCreates: 50 },
      "reservedIdentities.additionalPrefixes": ["corp:"],
      networkPolicy: {
        enabled: true,
        apiSources: ["10.0.0.0/8"],
        proxySources: ["192.0.2.0/24"],
        egressPorts: [443, 3128],
        additionalEgress: [{ to: [{ podSelector: {} }] }],
      },
      "rbac.impersonatedAuthenticationResources": ["uids", "userextras/example.com/team"],
    },
  },
];

/** Sorted, without comments: what an administrator's tools see. */
export async function renderedText({ chart, values }: GoldenCase, major: HelmMajor): Promise<string> {
  const key = ({ kind, metadata }: Manifest): string =>
    `${kind} ${metadata.namespace ?? ""} ${metadata.name}`;
  const objects = await render(chart, values, { major });
  return objects
    .toSorted((a, b) => (key(a) < key(b) ? -1 : 1))
    .map((object) => stringify(object, { lineWidth: 0, sortMapEntries: true, aliasDuplicateObjects: false }))
    .join("---\n");
}

function pathOf(golden: GoldenCase): string {
  return join(import.meta.dirname, "chart-golden", `${golden.name}.golden`);
}

/** The kept manifests. */
export function goldenText(golden: GoldenCase): string {
  return readFileSync(pathOf(golden), "utf8");
}

if (import.meta.main && process.argv.includes("--write")) {
  for (const golden of goldenCases) {
    writeFileSync(pathOf(golden), await renderedText(golden, 3));
  }
}
