import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { sendJson, startTlsServer } from "../../../test/oidc/tls-server.ts";
import { getKubeconfigFlags } from "../command-line/kubeconfig-flags.ts";
import { parseFlags } from "../command-line/parse-flags.ts";
import { createTestContext } from "../http/testing/context.ts";
import { encodeBase64 } from "../kubeconfig/ca-bundle.ts";
import type { Kubeconfig } from "../kubeconfig/kubeconfig.ts";
import { parseKubeconfig } from "../kubeconfig/load-kubeconfig.ts";
import { recordIn, type UnknownRecord } from "../kubeconfig/unknown-value.ts";
import { run } from "./get-kubeconfig.ts";

const folder = mkdtempSync(join(tmpdir(), "lanyard-get-kubeconfig-"));
const certificate = await createLoopbackCertificate();
// An issuer, and something that answers at a cluster's address: enough where nothing asks a Kubernetes API.
const server = await startTlsServer(certificate, (request, response) =>
  request.url?.includes("openid") === true
    ? sendJson(response, 200, { issuer: server.origin })
    : response.writeHead(401).end(),
);
after(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});
const ca = encodeBase64(certificate.caPem);
const path = join(folder, "config");
const sourceText = JSON.stringify({
  "current-context": "prod",
  clusters: [{ name: "c", cluster: { server: server.origin, "certificate-authority-data": ca } }],
  contexts: [{ name: "prod", context: { cluster: "c", user: "admin" } }],
  users: [{ name: "admin", user: { token: "secret" } }],
});
writeFileSync(path, sourceText);
const caFile = join(folder, "ca.pem");
writeFileSync(caFile, certificate.caPem);

async function get(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = { KUBECONFIG: path },
) {
  const context = createTestContext({ environment, executablePath: "/bin/lanyard", homeFolder: folder });
  const { flags } = parseFlags(getKubeconfigFlags(environment), args);
  await run(context, flags, []);
  return {
    text: context.output(),
    lines: context.lines,
    messages: context.lines.map(({ message }) => message),
  };
}
const fails = (args: readonly string[], message: string | RegExp): Promise<void> =>
  assert.rejects(get(args), { name: "CommandError", message });
const execOf = (config: Kubeconfig, user: string): UnknownRecord =>
  recordIn(config.users.get(user)?.value["exec"]);
const oidc = (): readonly string[] => [
  "--no-concierge",
  `--oidc-issuer=${server.origin}`,
  `--oidc-ca-bundle=${caFile}`,
];

test("without a Concierge the source's cluster is copied and its address tried", async () => {
  const { text, messages } = await get(oidc());
  const config = parseKubeconfig(text, "/f");
  assert.deepEqual(messages, ["validated connection to the cluster"]);
  assert.deepEqual(config.clusters.get("c-pinniped")?.value, {
    server: server.origin,
    "certificate-authority-data": ca,
  });
  assert.deepEqual(execOf(config, "admin-pinniped")["args"], [
    ...["login", "oidc", `--issuer=${server.origin}`, "--client-id=pinniped-cli"],
    "--scopes=offline_access,openid,pinniped:request-audience,username,groups",
    `--ca-bundle-data=${ca}`,
  ]);
});

test("every flag finds its place", async () => {
  const { text } = await get([
    ...oidc(),
    ...["--skip-validation", "--generated-name-suffix=.x", "--pinniped-cli-path=p", "--install-hint=h"],
    ...[
      "--credential-cache=",
      "--oidc-client-id=i",
      "--oidc-scopes=a,b",
      "--oidc-listen-port=1",
      "--oidc-skip-browser",
    ],
    ...[
      "--oidc-skip-listen",
      "--oidc-session-cache=s",
      "--oidc-debug-session-cache",
      "--oidc-request-audience=r",
    ],
    ...["--upstream-identity-provider-name=n", "--upstream-identity-provider-type=t"],
    ...[
      "--upstream-identity-provider-flow=f",
      "--oidc-device-code",
      "--concierge-mode=IMPERSONATIONproxy",
      "--concierge-credential-lifetime=90s",
    ],
  ]);
  const config = parseKubeconfig(text, "/f");
  assert.equal(config.currentContext, "prod.x");
  const { args, command, installHint } = execOf(config, "admin.x");
  assert.deepEqual([command, installHint], ["p", "h"]);
  assert.deepEqual((args as readonly string[]).slice(2), [
    ...[
      "--credential-cache=",
      `--issuer=${server.origin}`,
      "--client-id=i",
      "--scopes=a,b",
      "--skip-browser",
    ],
    ...[
      "--skip-listen",
      "--listen-port=1",
      `--ca-bundle-data=${ca}`,
      "--session-cache=s",
      "--debug-session-cache",
    ],
    ...["--request-audience=r", "--upstream-identity-provider-name=n", "--upstream-identity-provider-type=t"],
    ...["--upstream-identity-provider-flow=f", "--device-code", "--credential-lifetime=1m30s"],
  ]);
});

test("a static token is only for its owner", async () => {
  const output = join(folder, "static");
  const { text } = await get(["--no-concierge", "--static-token=t", `-o${output}`]);
  assert.equal(text, "");
  assert.equal(statSync(output).mode & 0o777, 0o600);
  assert.match(readFileSync(output, "utf8"), /- static\n {6}- --token=t\n/);
});

test("a failed run leaves the output as it was and nothing beside it", async () => {
  const before = readdirSync(folder);
  await fails(["--no-concierge", `-o${path}`], "could not autodiscover --oidc-issuer and none was provided");
  await fails(["--no-concierge", `-o${join(folder, "new")}`], /could not autodiscover/);
  await fails(["--no-concierge", "--merge"], /could not autodiscover/);
  assert.equal(readFileSync(path, "utf8"), sourceText);
  assert.deepEqual(readdirSync(folder), before);
});

test("an output that cannot be written is told before anything is asked or read", async () => {
  const connections = server.connections();
  const missing = join(folder, "no", "folder");
  await fails(
    [...oidc(), `-o${missing}`],
    `could not open output file: open ${missing}: no such file or directory`,
  );
  await fails(
    ["--kubeconfig=/gone", `-o${folder}`],
    `could not open output file: open ${folder}: is a directory`,
  );
  assert.equal(server.connections(), connections);
});

test("flags with files and modes are refused as the parser would", async () => {
  const none = join(folder, "none.pem");
  await fails(
    [`--oidc-ca-bundle=${none}`],
    `invalid argument "${none}" for "--oidc-ca-bundle" flag: could not read CA bundle path: open ${none}: no such file or directory`,
  );
  await fails(
    [`--concierge-ca-bundle=${path}`],
    `invalid argument "${path}" for "--concierge-ca-bundle" flag: failed to load any CA certificates from "${path}"`,
  );
  await fails(
    ["--concierge-mode=x"],
    'invalid argument "x" for "--concierge-mode" flag: invalid mode "x", valid modes are TokenCredentialRequestAPI and ImpersonationProxy',
  );
});

test("what is wrong before a cluster is asked has the contract's words", async () => {
  const must =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
  const load = "could not load --kubeconfig";
  for (const [args, message] of [
    [["--concierge-api-group-suffix=example"], "invalid API group suffix: must contain '.'"],
    [["--concierge-api-group-suffix=A"], `invalid API group suffix: [must contain '.', ${must}]`],
    [["--kubeconfig=/gone"], `${load}: stat /gone: no such file or directory`],
    [["--kubeconfig-context=x"], `${load}/--kubeconfig-context: no such context "x"`],
    [
      ["--no-concierge", "--static-token=a", "--static-token-env=B"],
      "only one of --static-token and --static-token-env can be specified",
    ],
    [
      [...oidc(), "--oidc-request-audience=a.pinniped.dev"],
      "request audience is not allowed to include the substring '.pinniped.dev': a.pinniped.dev",
    ],
  ] as const) {
    await fails(args, message);
  }
  await assert.rejects(get([], {}), { message: `${load}/--kubeconfig-context: no such context ""` });
});

test("a kubeconfig that cannot be used for calls says so", async () => {
  const broken = join(folder, "broken");
  for (const [from, to, why] of [
    [server.origin, "ftp://x", 'host must be a URL or a host:port pair: "ftp://x"'],
    [ca, "!", "certificate-authority-data is not base64: illegal base64 data at input byte 0"],
    [
      `-data":"${ca}`,
      '":"/gone.pem',
      "unable to load root certificates: open /gone.pem: no such file or directory",
    ],
  ] as const) {
    writeFileSync(broken, sourceText.replace(from, to));
    await fails([`--kubeconfig=${broken}`], `could not configure Kubernetes client: ${why}`);
  }
});

test("the executable must be known", async () => {
  const context = createTestContext({ environment: { KUBECONFIG: path }, executablePath: "" });
  const { flags } = parseFlags(getKubeconfigFlags(context.environment), [
    "--no-concierge",
    "--static-token=t",
  ]);
  await assert.rejects(run(context, flags, []), /could not determine the Pinniped executable path: /);
});

test("a merge goes into the kubeconfig that was read, once", async () => {
  const target = join(folder, "merged");
  writeFileSync(target, sourceText);
  const args = ["--no-concierge", "--static-token=t", "--merge"];
  const first = await get(args, { KUBECONFIG: target });
  assert.equal(first.text, "");
  assert.equal(first.messages.at(-1), "merged into kubeconfig");
  const backups = (): readonly string[] =>
    readdirSync(folder).filter((name) => name.startsWith("merged.backup-"));
  assert.equal(readFileSync(join(folder, backups()[0] ?? ""), "utf8"), sourceText);
  const text = readFileSync(target, "utf8");
  const config = parseKubeconfig(text, target);
  assert.deepEqual([...config.contexts.keys()], ["prod", "prod-pinniped"]);
  await get([...args, "--kubeconfig-context=prod"], { KUBECONFIG: target });
  assert.deepEqual([readFileSync(target, "utf8"), backups().length], [text, 1]);
});
