import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { parseFlags } from "../command-line/parse-flags.ts";
import { createTestContext } from "../http/testing/context.ts";
import { program } from "../program.ts";
import { run } from "./whoami.ts";

const folder = mkdtempSync(join(tmpdir(), "lanyard-whoami-"));
after(() => rmSync(folder, { recursive: true }));
const path = join(folder, "config");
const command = join(folder, "plugin");
writeFileSync(command, "#!/bin/sh\nexec sleep 600\n", { mode: 0o755 });
writeFileSync(
  path,
  JSON.stringify({
    "current-context": "x",
    clusters: [{ name: "c", cluster: { server: "https://127.0.0.1:1" } }],
    contexts: [
      { name: "x", context: { cluster: "c", user: "u" } },
      { name: "slow", context: { cluster: "c", user: "slow" } },
    ],
    users: [
      { name: "u", user: { token: "t" } },
      { name: "slow", user: { exec: { apiVersion: "client.authentication.k8s.io/v1beta1", command } } },
    ],
  }),
);
const fails = async (args: readonly string[], message: string | RegExp): Promise<void> => {
  const context = createTestContext({ environment: { KUBECONFIG: path, PATH: process.env["PATH"] } });
  const whoami = program.commands?.find(({ name }) => name === "whoami");
  const { flags } = parseFlags(whoami?.flags?.(context.environment) ?? [], args);
  await assert.rejects(run(context, flags, []), { name: "CommandError", message });
  assert.equal(context.output(), "");
};

test("what goes wrong has the contract's words", async () => {
  await fails(
    ["--kubeconfig=/gone"],
    "could not configure Kubernetes client: stat /gone: no such file or directory",
  );
  await fails(
    ["--kubeconfig-context=y"],
    'could not configure Kubernetes client: context "y" does not exist',
  );
  await fails(
    [],
    /^could not complete WhoAmIRequest: Post "https:\/\/127\.0\.0\.1:1\/apis\/identity\.concierge\.pinniped\.dev\/v1alpha1\/whoamirequests": dial tcp/,
  );
  await fails(["-oxml"], 'could not write output: unknown output format: "xml"');
});

test("the time for it includes the login", { timeout: 60_000 }, async () => {
  await fails(
    ["--kubeconfig-context=slow", "--timeout=300ms"],
    "could not complete WhoAmIRequest: context deadline exceeded",
  );
});
