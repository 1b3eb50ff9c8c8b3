import assert from "node:assert/strict";
import { after, beforeEach, test } from "node:test";
import { createHome, runCommand } from "../exec-credential/testing/run-command.ts";
import { startFakeConcierge } from "../exec-credential/testing/fake-concierge.ts";

const inOneHour = (): string => new Date(Date.now() + 3_600_000).toISOString().replace(/\.\d+Z$/, "Z");
const concierge = await startFakeConcierge(() => ({
  expirationTimestamp: inOneHour(),
  clientCertificateData: "certificate",
  clientKeyData: "key",
}));
after(() => concierge.stop());
beforeEach(() => {
  concierge.tokens.length = 0;
});

const WITH_CONCIERGE = [
  "--enable-concierge",
  `--concierge-endpoint=${concierge.endpoint}`,
  `--concierge-ca-bundle-data=${concierge.caBundleData}`,
  "--concierge-authenticator-type=webhook",
  "--concierge-authenticator-name=hook",
];

test("without a Concierge the token is printed without an end, and nothing is stored", async () => {
  using home = createHome();
  const run = await runCommand(["login", "static", "--token=t<1>"], home);
  assert.equal(run.error, undefined);
  assert.equal(
    run.output,
    '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","spec":{"interactive":false},"status":{"token":"t\\u003c1\\u003e"}}\n',
  );
  assert.equal(run.errors, "");
  const { existsSync } = await import("node:fs");
  assert.ok(!existsSync(home.file("credentials.yaml")));
});

test("with a Concierge: exchanged once, then answered from the cache", async () => {
  using home = createHome();
  const args = ["login", "static", "--token=one", "--token-env=MINE", ...WITH_CONCIERGE];
  const environment = { MINE: "two" };
  const first = await runCommand(args, home, { environment });
  assert.equal(first.error, undefined);
  // The variable wins over the flag.
  assert.deepEqual(concierge.tokens, ["two"]);
  const { status } = JSON.parse(first.output) as { status: Record<string, string> };
  assert.deepEqual(
    [status["clientCertificateData"], status["clientKeyData"], status["token"]],
    ["certificate", "key", undefined],
  );
  const messages = first.context.lines.map(({ message }) => message);
  assert.ok(messages.includes("exchanging static token for cluster credential"), messages.join());
  assert.ok(messages.includes("exchanged static token for cluster credential"), messages.join());
  const second = await runCommand(args, home, { environment });
  assert.equal(second.output, first.output);
  assert.deepEqual(concierge.tokens, ["two"]);
  assert.equal(first.errors + second.errors, "");
  // Another token is another credential.
  await runCommand(args, home, { environment: { MINE: "three" } });
  assert.deepEqual(concierge.tokens, ["two", "three"]);
  const { readFileSync } = await import("node:fs");
  assert.doesNotMatch(readFileSync(home.file("credentials.yaml"), "utf8"), /two|three/);
});

// Contract cli.md 5.
const rows: readonly (readonly [readonly string[], Record<string, string>, string])[] = [
  [[], {}, "one of --token or --token-env must be set"],
  [["--enable-concierge"], {}, "one of --token or --token-env must be set"],
  [["--token-env=MINE"], {}, '--token-env variable "MINE" is not set'],
  [["--token-env=MINE"], { MINE: "" }, '--token-env variable "MINE" is empty'],
  [
    ["--token-env=MINE", "--enable-concierge"],
    {},
    "invalid Concierge parameters: endpoint must not be empty",
  ],
  [
    ["--token=t", "--credential-lifetime=30s"],
    {},
    "invalid --credential-lifetime: a credential lives for one minute (1m0s) at least; give a longer time",
  ],
];
for (const [flags, environment, text] of rows) {
  test(`refused: ${flags.join(" ")} ${text}`, async () => {
    using home = createHome();
    const run = await runCommand(["login", "static", ...flags], home, { environment });
    assert.equal(run.error, text);
    assert.equal(run.output, "");
  });
}

test("a failed exchange is told with its audit ID, and the token never", async () => {
  using home = createHome();
  const { respond } = concierge;
  concierge.respond = () => ({
    headers: { "Audit-ID": "audit-7" },
    body: { status: { message: "authentication failed" } },
  });
  const run = await runCommand(["login", "static", "--token=very-secret", ...WITH_CONCIERGE], home);
  concierge.respond = respond;
  assert.equal(
    run.error,
    "could not complete Concierge credential exchange: login failed: authentication failed (audit ID audit-7)",
  );
  assert.equal(run.output, "");
  assert.doesNotMatch(JSON.stringify(run.context.lines) + run.error + run.errors, /very-secret/);
});
