import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { createHome, runCommand } from "../exec-credential/testing/run-command.ts";
import { startFakeConcierge } from "../exec-credential/testing/fake-concierge.ts";

const instant = (seconds: number): string =>
  new Date(Math.floor(Date.now() / 1000 + seconds) * 1000).toISOString().replace(/\.\d+Z$/, "Z");
const base64url = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

const concierge = await startFakeConcierge(() => ({
  expirationTimestamp: instant(290),
  clientCertificateData: "certificate",
  clientKeyData: "key",
}));
after(() => concierge.stop());

const ISSUER = "https://issuer.invalid";
const WITH_CONCIERGE = [
  "--enable-concierge",
  `--concierge-endpoint=${concierge.endpoint}`,
  `--concierge-ca-bundle-data=${concierge.caBundleData}`,
  "--concierge-authenticator-type=JWT",
  "--concierge-authenticator-name=issuer",
];

/** A session whose ID token is good for an hour, so that nobody has to be asked. */
function seedSession(file: string): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: ISSUER, aud: "pinniped-cli", sub: "ann", iat: now, exp: now + 3600 };
  const token = `${base64url({ alg: "ES256" })}.${base64url(claims)}.c2ln`;
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const session = {
    key: {
      issuer: ISSUER,
      clientID: "pinniped-cli",
      scopes: ["groups", "offline_access", "openid", "pinniped:request-audience", "username"],
      redirect_uri: "http://localhost:0/callback",
    },
    creationTimestamp: instant(-60),
    lastUsedTimestamp: instant(-60),
    tokens: { id: { token, expiryTimestamp: instant(3600), claims } },
  };
  writeFileSync(
    file,
    JSON.stringify({
      apiVersion: "config.supervisor.pinniped.dev/v1alpha1",
      kind: "SessionCache",
      sessions: [session],
    }),
    { mode: 0o600 },
  );
  return token;
}

test("a session without a Concierge: exactly four log lines, nothing on stderr, equal answers", async () => {
  using home = createHome();
  const token = seedSession(home.file("sessions.yaml"));
  const args = ["login", "oidc", `--issuer=${ISSUER}`];
  const first = await runCommand(args, home, { environment: { PINNIPED_DEBUG: "true" } });
  assert.equal(first.error, undefined);
  assert.deepEqual(
    first.context.lines.map(({ level, message }) => `${level} ${message}`),
    [
      "debug Performing OIDC login",
      "info Pinniped: Found unexpired cached token.",
      "debug No concierge configured, skipping token credential exchange",
      "debug caching cluster credential for future use.",
    ],
  );
  assert.deepEqual(first.context.lines[0]?.values, { issuer: ISSUER, "client id": "pinniped-cli" });
  assert.equal(first.errors, "");
  const { status } = JSON.parse(first.output) as { status: { token: string; expirationTimestamp: string } };
  assert.equal(status.token, token);
  const other = await runCommand([...args, `--credential-cache=${home.file("others.yaml")}`], home);
  assert.equal(other.output, first.output);
  const again = await runCommand(args, home);
  assert.equal(again.output, first.output);
  assert.deepEqual(
    again.context.lines.map(({ message }) => message),
    ["using cached cluster credential."],
  );
});

test("with a Concierge the ID token is exchanged, with the contract's debug lines, and the next call is a hit", async () => {
  using home = createHome();
  const token = seedSession(home.file("sessions.yaml"));
  concierge.tokens.length = 0;
  const args = ["login", "oidc", `--issuer=${ISSUER}`, ...WITH_CONCIERGE];
  const first = await runCommand(args, home);
  assert.equal(first.error, undefined);
  assert.deepEqual(concierge.tokens, [token]);
  assert.deepEqual(
    first.context.lines
      .filter(({ level }) => level === "debug")
      .map(({ message, values }) => ({ message, ...values })),
    [
      { message: "Performing OIDC login", issuer: ISSUER, "client id": "pinniped-cli" },
      {
        message: "Exchanging token for cluster credential",
        endpoint: concierge.endpoint,
        "authenticator type": "JWT",
        "authenticator name": "issuer",
      },
      { message: "Successfully exchanged token for cluster credential." },
      { message: "caching cluster credential for future use." },
    ],
  );
  const { status } = JSON.parse(first.output) as { status: Record<string, string> };
  assert.equal(status["clientKeyData"], "key");
  assert.equal(status["token"], undefined);
  const second = await runCommand(args, home);
  assert.equal(second.output, first.output);
  assert.equal(concierge.tokens.length, 1);
  assert.doesNotMatch(JSON.stringify([first.context.lines, second.context.lines]), new RegExp(token));
});

test("an empty --credential-cache keeps nothing and says nothing of keeping", async () => {
  using home = createHome();
  seedSession(home.file("sessions.yaml"));
  const run = await runCommand(["login", "oidc", `--issuer=${ISSUER}`, "--credential-cache="], home);
  assert.equal(run.error, undefined);
  assert.ok(!run.context.lines.some(({ message }) => message.startsWith("caching")));
  assert.ok(!existsSync(home.file("credentials.yaml")));
});

test("the answer is in the version that the client asked in", async () => {
  using home = createHome();
  seedSession(home.file("sessions.yaml"));
  for (const version of ["v1", "v1beta1"]) {
    const info = {
      kind: "ExecCredential",
      apiVersion: `client.authentication.k8s.io/${version}`,
      spec: { interactive: false },
    };
    const run = await runCommand(["login", "oidc", `--issuer=${ISSUER}`], home, {
      environment: { KUBERNETES_EXEC_INFO: JSON.stringify(info) },
    });
    assert.equal((JSON.parse(run.output) as { apiVersion: string }).apiVersion, info.apiVersion);
  }
});

// Contract cli.md 4.2: what is checked before anything is looked up.
const rows: readonly (readonly [readonly string[], string])[] = [
  [["--enable-concierge"], "invalid Concierge parameters: endpoint must not be empty"],
  [
    ["--ca-bundle=/nowhere/ca.pem"],
    "could not read --ca-bundle: open /nowhere/ca.pem: no such file or directory",
  ],
  [["--ca-bundle=/tmp"], "could not read --ca-bundle: read /tmp: is a directory"],
  [["--ca-bundle-data=aGk=,a!"], "could not read --ca-bundle-data: illegal base64 data at input byte 1"],
  [
    ["--enable-concierge", "--ca-bundle=/nowhere"],
    "invalid Concierge parameters: endpoint must not be empty",
  ],
];
for (const [flags, text] of rows) {
  test(`refused even where a credential is cached: ${text}`, async () => {
    using home = createHome();
    seedSession(home.file("sessions.yaml"));
    const run = await runCommand(["login", "oidc", `--issuer=${ISSUER}`, ...flags], home);
    assert.equal(run.error, text);
    assert.equal(run.output, "");
  });
}

test("base64 that is no PEM is passed over, and trusts nobody", async () => {
  using home = createHome();
  const args = ["login", "oidc", "--issuer=https://127.0.0.1:1", "--ca-bundle-data=aGk="];
  const run = await runCommand(args, home);
  assert.match(
    run.error ?? "",
    /^could not complete Pinniped login: could not perform OIDC discovery for "https:\/\/127\.0\.0\.1:1": .*the CA bundle given for this address holds no certificate/,
  );
});

test("failures of the login and of the exchange have the contract's prefixes", async () => {
  using home = createHome();
  const bad = await runCommand(["login", "oidc", "--issuer=http://issuer.invalid"], home);
  assert.equal(
    bad.error,
    'could not complete Pinniped login: issuer must be an https URL, but had scheme "http" instead',
  );
  seedSession(home.file("sessions.yaml"));
  const { respond } = concierge;
  concierge.respond = () => ({ body: { status: { message: "authentication failed" } } });
  const refused = await runCommand(["login", "oidc", `--issuer=${ISSUER}`, ...WITH_CONCIERGE], home);
  concierge.respond = respond;
  assert.equal(
    refused.error,
    "could not complete Concierge credential exchange: login failed: authentication failed",
  );
  assert.ok(!existsSync(join(home.path, "credentials.yaml")));
});
