import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../clock.ts";
import { credentialIssuers } from "../../resources/credential-issuer.ts";
import type { CredentialIssuer } from "../../resources/credential-issuer.ts";
import type { CredentialIssuerStrategy } from "../../resources/credential-issuer-status.ts";
import { createMemoryCluster } from "../testing/memory-store.ts";
import { mergeStrategy, reportStrategy } from "./credential-issuer-status.ts";
import type { StrategyReport } from "./credential-issuer-status.ts";

const proxy: StrategyReport = {
  type: "ImpersonationProxy",
  status: "Error",
  reason: "Disabled",
  message: "off",
};
const kube: StrategyReport = {
  type: "KubeClusterSigningCertificate",
  status: "Success",
  reason: "FetchedKey",
  message: "good",
  frontend: {
    type: "TokenCredentialRequestAPI",
    tokenCredentialRequestInfo: { server: "https://x", certificateAuthorityData: "eA==" },
  },
};

test("strategies are replaced by type, in the contract's order, and keep their time while nothing changes", () => {
  const first = mergeStrategy([], proxy, 1000);
  assert.deepEqual(first, [{ ...proxy, lastUpdateTime: "1970-01-01T00:00:01Z" }]);
  const unknown = (type: string): CredentialIssuerStrategy =>
    ({ ...proxy, type, lastUpdateTime: "1970-01-01T00:00:00Z" }) as unknown as CredentialIssuerStrategy;
  const second = mergeStrategy([unknown("B"), ...first, unknown("A")], kube, 2999);
  assert.deepEqual(
    second.map(({ type, lastUpdateTime }) => [type, lastUpdateTime]),
    [
      ["KubeClusterSigningCertificate", "1970-01-01T00:00:02Z"],
      ["ImpersonationProxy", "1970-01-01T00:00:01Z"],
      ["A", "1970-01-01T00:00:00Z"],
      ["B", "1970-01-01T00:00:00Z"],
    ],
  );
  const reordered = Object.fromEntries(Object.entries(kube).toReversed()) as StrategyReport;
  assert.equal(mergeStrategy(second, reordered, 9000), second);
  const changed = mergeStrategy(second, { ...proxy, message: "other" }, 9000);
  assert.deepEqual(
    changed.slice(0, 2).map(({ lastUpdateTime }) => lastUpdateTime),
    ["1970-01-01T00:00:02Z", "1970-01-01T00:00:09Z"],
  );
});

test("an equal status is not written, and a conflict carries the contract's prefix", async () => {
  const cluster = createMemoryCluster(createManualClock());
  const store = cluster.client();
  const stale = await store.create(credentialIssuers, {
    apiVersion: "config.concierge.pinniped.dev/v1alpha1",
    kind: "CredentialIssuer",
    metadata: { name: "app-config" },
    spec: {},
  } as unknown as CredentialIssuer);
  await reportStrategy({ store, issuer: stale, report: kube, now: 1000 });
  const issuer = await store.get(credentialIssuers, { name: "app-config" });
  const writes = cluster.writes.length;
  await reportStrategy({ store, issuer, report: kube, now: 5000 });
  assert.equal(cluster.writes.length, writes);
  await assert.rejects(reportStrategy({ store, issuer: stale, report: proxy, now: 1000 }), {
    message: "failed to update CredentialIssuer status: credentialissuers//app-config: Conflict",
  });
});
