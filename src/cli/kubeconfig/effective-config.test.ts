import assert from "node:assert/strict";
import { test } from "node:test";
import { effectiveConfig } from "./effective-config.ts";
import { parseKubeconfig } from "./load-kubeconfig.ts";

const text = `
current-context: good
clusters: [{name: c, cluster: {server: https://s}}, {name: empty}]
contexts:
- {name: good, context: {cluster: c, user: u}}
- {name: nocluster, context: {cluster: x, user: u}}
- {name: nouser, context: {cluster: c, user: x}}
- {name: empty, context: {cluster: empty}}
users: [{name: u, user: {token: t}}]`;
const effective = (override = "", config = text) =>
  effectiveConfig(parseKubeconfig(config, "/f"), override, { environment: {} });

test("a context comes to its cluster and user", async () => {
  assert.deepEqual(await effective(), {
    cluster: { server: "https://s" },
    user: { token: "t" },
    clusterName: "c",
  });
});

test("what is missing is told in client-go's words", async () => {
  const start = "could not configure Kubernetes client: ";
  const none = `${start}invalid configuration: no configuration has been provided, try setting KUBERNETES_MASTER environment variable`;
  for (const [override, config, message] of [
    ["x", text, `${start}context "x" does not exist`],
    ["", "current-context: x", `${start}context was not found for specified context: x`],
    ["nouser", text, `${start}auth info "x" does not exist`],
    ["nocluster", text, `${start}cluster "x" does not exist`],
    ["empty", text, none],
    ["", "", none],
  ] as const) {
    await assert.rejects(effective(override, config), { name: "CommandError", message });
  }
});
