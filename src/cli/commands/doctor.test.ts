import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { createServer as createTlsServer } from "node:https";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { systemClock } from "../../clock.ts";
import type { CommandContext } from "../context.ts";
import { startStandaloneConcierge } from "../concierge-client/testing/standalone-concierge.ts";
import type { Finding } from "../doctor/finding.ts";
import { writeKubeconfig } from "../exec-credential/testing/kubeconfig.ts";
import { type CommandRun, createHome, runCommand } from "../exec-credential/testing/run-command.ts";
import { startTestProxy } from "../http/testing/proxy.ts";

const concierge = await startStandaloneConcierge();
after(() => concierge.stop());
const { issuer } = concierge;
const base64 = (text: string): string => Buffer.from(text).toString("base64");
const CLUSTER = { server: concierge.endpoint, "certificate-authority-data": base64(concierge.caPem) };
const CONCIERGE = [
  "--enable-concierge",
  "--concierge-api-group-suffix=pinniped.dev",
  `--concierge-authenticator-name=${concierge.authenticator}`,
  "--concierge-authenticator-type=jwt",
  `--concierge-endpoint=${concierge.endpoint}`,
  `--concierge-ca-bundle-data=${base64(concierge.caPem)}`,
];
const OIDC = [
  "login",
  "oidc",
  ...CONCIERGE,
  `--issuer=${issuer.issuerUrl}`,
  `--client-id=${issuer.clientId}`,
  `--ca-bundle-data=${base64(issuer.caPem)}`,
];

interface Report extends CommandRun {
  readonly findings: readonly Finding[];
  readonly of: (check: string) => Finding;
}

async function examine(
  kubeconfig: Parameters<typeof writeKubeconfig>[1],
  overrides: Partial<CommandContext> = {},
  ownHome?: ReturnType<typeof createHome>,
): Promise<Report> {
  using made = ownHome === undefined ? createHome() : undefined;
  const home = ownHome ?? made ?? assert.fail();
  const path = writeKubeconfig(home.path, kubeconfig);
  const run = await runCommand(["doctor", `--kubeconfig=${path}`, "-o", "json"], home, overrides);
  const { findings } = JSON.parse(run.output) as { findings: Finding[] };
  return {
    ...run,
    findings,
    of: (check) => findings.find((each) => each.check === check) ?? assert.fail(`no ${check}: ${run.output}`),
  };
}

const replaced = (args: readonly string[], flag: string, value: string): readonly string[] => [
  ...args.filter((arg) => !arg.startsWith(`--${flag}=`)),
  `--${flag}=${value}`,
];

test("a sound kubeconfig: every check in its order, nothing failed", async () => {
  const report = await examine({ cluster: CLUSTER, args: OIDC });
  assert.deepEqual(
    report.findings.map(({ check, status }) => `${status} ${check}`),
    [
      "ok kubeconfig",
      "ok command",
      "ok credential cache",
      "ok session cache",
      "ok issuer tcp",
      "ok issuer tls",
      "ok issuer certificate",
      "ok issuer discovery",
      "ok issuer clock",
      "ok issuer keys",
      "ok concierge tcp",
      "ok concierge tls",
      "ok concierge certificate",
      "ok concierge clock",
      "ok concierge api",
      "ok authenticator",
      "warn credential",
      "ok cluster tcp",
      "ok cluster tls",
      "ok cluster certificate",
      "ok cluster clock",
      "ok cluster",
    ],
    report.output,
  );
  assert.equal(report.error, undefined);
  assert.match(report.of("concierge tls").message, /^TLSv1\.3, TLS_AES_/);
  assert.match(
    report.of("concierge certificate").message,
    /^issued by .*, until .* UTC, trusted by the given CA bundle$/,
  );
});

test("the same as text: one line each", async () => {
  using home = createHome();
  const path = writeKubeconfig(home.path, { cluster: CLUSTER, args: OIDC });
  const run = await runCommand(["doctor", `--kubeconfig=${path}`], home);
  const lines = run.output.trimEnd().split("\n");
  assert.equal(lines.length, 22);
  for (const line of lines) {
    assert.match(line, /^(?:ok  |warn|fail) {2}[a-z ]+: \S/);
  }
});

test("a cached credential is shown by its times and tried at the cluster; no secret is in the output", async () => {
  using home = createHome();
  const token = await concierge.token();
  const args = ["login", "static", "--token-env=MY_TOKEN", ...CONCIERGE];
  const environment = { MY_TOKEN: token };
  const login = await runCommand(args, home, {
    environment: {
      ...environment,
      KUBERNETES_EXEC_INFO: JSON.stringify({
        kind: "ExecCredential",
        apiVersion: "client.authentication.k8s.io/v1beta1",
        spec: { cluster: { ...CLUSTER, config: null }, interactive: false },
      }),
    },
  });
  assert.equal(login.error, undefined);
  const report = await examine({ cluster: CLUSTER, args }, { environment }, home);
  assert.match(
    report.of("credential").message,
    /^a cached client certificate, dead at \d{4}-.*Z, renewed from \d{4}-.*Z on$/,
  );
  assert.match(report.of("cluster").message, /^it (?:knows|accepts) the cached credential/);
  const { status } = JSON.parse(login.output) as { status: { clientKeyData: string } };
  const everything = report.output + report.errors + JSON.stringify(report.context.lines);
  assert.doesNotMatch(everything, /BEGIN|PRIVATE/);
  for (const secret of [token, token.split(".")[2] ?? "-", status.clientKeyData.split("\n")[1] ?? "-"]) {
    assert.ok(!everything.includes(secret));
  }
  const direct = await examine(
    { cluster: CLUSTER, args: ["login", "static", `--token=${token}`, ...CONCIERGE] },
    {},
    home,
  );
  assert.ok(!direct.output.includes(token));
});

test("clocks: how many seconds, and which side", async () => {
  const clockAt = (offset: number): { clock: CommandContext["clock"] } => ({
    clock: { ...systemClock, now: () => Date.now() + offset },
  });
  const behind = await examine({ cluster: CLUSTER, args: OIDC }, clockAt(-90_000));
  assert.equal(behind.of("issuer clock").status, "fail");
  assert.match(
    behind.of("issuer clock").message,
    /^the clock of 127\.0\.0\.1:\d+ is (?:89|90|91) s ahead of this machine's$/,
  );
  assert.match(behind.error ?? "", /^3 of 22 checks failed/);
  const ahead = await examine({ cluster: CLUSTER, args: OIDC }, clockAt(20_000));
  assert.equal(ahead.of("concierge clock").status, "warn");
  assert.match(ahead.of("concierge clock").message, /is (?:19|20|21) s behind this machine's$/);
  assert.match(ahead.of("cluster clock").remedy ?? "", /NTP/);
});

const other = await createLoopbackCertificate();

test("what is wrong is named with what to do, and later checks still run", async () => {
  const wrongCa = await examine({
    cluster: CLUSTER,
    args: replaced(OIDC, "ca-bundle-data", base64(other.caPem)),
  });
  assert.equal(wrongCa.error, "1 of 19 checks failed: the first one that failed is where to begin");
  assert.match(
    wrongCa.of("issuer certificate").message,
    /x509: certificate signed by unknown authority \(it was issued by /,
  );
  assert.match(wrongCa.of("issuer certificate").remedy ?? "", /CA bundle/);
  assert.equal(wrongCa.of("authenticator").status, "ok");

  const suffix = await examine({
    cluster: CLUSTER,
    args: replaced(OIDC, "concierge-api-group-suffix", "a.example.com"),
  });
  assert.equal(suffix.of("authenticator").status, "fail");
  assert.match(suffix.of("authenticator").remedy ?? "", /--concierge-api-group-suffix/);

  const nowhere = await examine({
    cluster: { server: "https://nowhere.invalid" },
    args: replaced(OIDC, "issuer", "https://nowhere.invalid"),
  });
  assert.match(nowhere.of("issuer dns").message, /lookup nowhere\.invalid/);
  assert.match(nowhere.of("issuer dns").remedy ?? "", /DNS/);
  assert.equal(nowhere.of("cluster dns").status, "fail");

  const closed = await examine({
    cluster: { server: "https://127.0.0.1:1" },
    args: replaced(OIDC, "issuer", "https://127.0.0.1:1"),
  });
  assert.match(closed.of("issuer tcp").message, /connection refused/);

  const issuerText = await examine({
    cluster: CLUSTER,
    args: replaced(OIDC, "issuer", `${issuer.issuerUrl}/else`),
  });
  assert.match(issuerText.of("issuer discovery").message, /could not perform OIDC discovery/);
  assert.match(issuerText.of("issuer discovery").remedy ?? "", /to the letter/);

  const asked = await examine({
    cluster: CLUSTER,
    args: [...OIDC, "--upstream-identity-provider-name=corp"],
  });
  assert.match(
    asked.of("identity provider").message,
    /"corp" was asked for, but the issuer is no Supervisor/,
  );
});

test("a server of TLS 1.2 in front of the Concierge is told from one that is away", async () => {
  const old = createTlsServer({
    key: other.privateKeyPem,
    cert: other.certificatePem,
    maxVersion: "TLSv1.2",
  });
  old.listen(0, "127.0.0.1");
  await once(old, "listening");
  const endpoint = `https://127.0.0.1:${(old.address() as AddressInfo).port}`;
  const report = await examine({ cluster: CLUSTER, args: replaced(OIDC, "concierge-endpoint", endpoint) });
  assert.equal(report.of("concierge tcp").status, "ok");
  assert.equal(report.of("concierge tls").message, "remote error: tls: protocol version not supported");
  assert.match(report.of("concierge tls").remedy ?? "", /must speak TLS 1\.3/);
  old.closeAllConnections();
  old.close();
});

test("a name that the certificate does not hold, and one that has ended", async () => {
  const named = await createLoopbackCertificate({ dnsNames: ["elsewhere.test"], ipAddresses: [] });
  const ended = await createLoopbackCertificate({
    notBefore: new Date(Date.now() - 7_200_000),
    notAfter: new Date(Date.now() - 3_600_000),
  });
  for (const [certificate, pattern] of [
    [named, /x509: (?:cannot validate certificate for 127\.0\.0\.1|certificate is valid for)/],
    [ended, /x509: certificate has expired or is not yet valid: current time .* is after /],
  ] as const) {
    const server = createTlsServer({ key: certificate.privateKeyPem, cert: certificate.certificatePem });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const cluster = {
      server: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
      "certificate-authority-data": base64(certificate.caPem),
    };
    const report = await examine({ cluster, user: { token: "x" } });
    assert.match(report.of("cluster certificate").message, pattern);
    assert.equal(report.of("kubeconfig").status, "warn");
    server.closeAllConnections();
    server.close();
  }
});

test("files and programs: a readable cache, a missing program, no kubeconfig", async () => {
  using home = createHome();
  const args = ["login", "static", "--token=x", ...CONCIERGE, `--credential-cache=${home.path}/open.json`];
  writeFileSync(`${home.path}/open.json`, "{}");
  chmodSync(`${home.path}/open.json`, 0o644);
  const open = await examine({ cluster: CLUSTER, args, command: "no-such-program" }, {}, home);
  assert.equal(open.of("credential cache").status, "fail");
  assert.match(open.of("credential cache").message, /open\.json/);
  assert.equal(open.of("command").message, "no-such-program is not there or cannot be started");
  const missing = await runCommand(["doctor", "--kubeconfig=/nowhere"], home);
  assert.match(missing.output, /^fail {2}kubeconfig: could not load --kubeconfig: .*; name the right file/);
  assert.equal(missing.error, "1 of 1 checks failed: the first one that failed is where to begin");
  const format = await runCommand(["doctor", "-o", "xml"], home);
  assert.equal(format.error, 'unknown output format: "xml": use text or json');
});

test("the proxy on the way is named, without its password", async () => {
  const proxy = await startTestProxy({
    ports: { "proxied.test:443": Number(new URL(concierge.endpoint).port) },
  });
  const cluster = { ...CLUSTER, "proxy-url": `http://me:hidden@127.0.0.1:${proxy.port}` };
  const report = await examine({ cluster, args: OIDC });
  assert.equal(
    report.of("cluster proxy").message,
    `${new URL(concierge.endpoint).host} is reached through http://127.0.0.1:${proxy.port}`,
  );
  assert.ok(!report.output.includes("hidden"));
  await proxy.stop();
  const gone = await examine({ cluster, args: OIDC });
  assert.equal(gone.of("cluster proxy").status, "fail");
  assert.ok(!gone.output.includes("hidden"));
});
