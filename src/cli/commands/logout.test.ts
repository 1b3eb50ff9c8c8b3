import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { after, beforeEach, test } from "node:test";
import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { startTlsServer } from "../../../test/oidc/tls-server.ts";
import { cacheKey } from "../cache/cache-key.ts";
import { writeKubeconfig } from "../exec-credential/testing/kubeconfig.ts";
import { createHome, runCommand } from "../exec-credential/testing/run-command.ts";

const instant = (seconds: number): string =>
  new Date(Date.now() + seconds * 1000).toISOString().replace(/\.\d+Z$/, "Z");
const certificate = await createLoopbackCertificate();
let revocation: "offered" | "not offered" | "broken" = "offered";
let revoked: (string | null)[] = [];
const server = await startTlsServer(certificate, (request, response) => {
  if (request.url === "/.well-known/openid-configuration") {
    response.writeHead(200, { "content-type": "application/json" }).end(
      JSON.stringify({
        issuer: server.origin,
        authorization_endpoint: `${server.origin}/authorize`,
        token_endpoint: `${server.origin}/token`,
        jwks_uri: `${server.origin}/keys`,
        ...(revocation === "not offered" ? {} : { revocation_endpoint: `${server.origin}/revoke` }),
      }),
    );
    return;
  }
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    revoked.push(new URLSearchParams(Buffer.concat(chunks).toString("utf8")).get("token"));
    response.writeHead(revocation === "broken" ? 500 : 200).end();
  });
});
after(() => server.stop());
beforeEach(() => {
  revocation = "offered";
  revoked = [];
});

const CLUSTER = { server: "https://cluster.invalid", "certificate-authority-data": "Y2E=" };
const ARGS = [
  "login",
  "oidc",
  `--issuer=${server.origin}`,
  `--ca-bundle-data=${Buffer.from(certificate.caPem).toString("base64")}`,
];
const SCOPES = ["groups", "offline_access", "openid", "pinniped:request-audience", "username"];

function cacheFile(kind: string, list: string, entries: readonly object[]): string {
  return JSON.stringify({ apiVersion: "config.supervisor.pinniped.dev/v1alpha1", kind, [list]: entries });
}

/** A credential of our context under both keys there may be, one of somebody else; our session and another issuer's. */
function seed(home: ReturnType<typeof createHome>): void {
  mkdirSync(dirname(home.file("x")), { recursive: true, mode: 0o700 });
  const times = { creationTimestamp: instant(-60), lastUsedTimestamp: instant(-60) };
  const credential = { expirationTimestamp: instant(3600), token: "cached-secret" };
  const keys = [
    cacheKey({ args: ARGS, cluster: { ...CLUSTER, config: null } }),
    cacheKey({ args: ["login", "oidc", "--issuer=https://other.invalid"], cluster: null }),
  ];
  writeFileSync(
    home.file("credentials.yaml"),
    cacheFile(
      "CredentialCache",
      "credentials",
      keys.map((key) => ({ key, ...times, credential })),
    ),
    { mode: 0o600 },
  );
  const session = (issuer: string): object => ({
    key: { issuer, clientID: "pinniped-cli", scopes: SCOPES, redirect_uri: "http://localhost:0/callback" },
    ...times,
    tokens: {
      access: { token: "access-secret", type: "Bearer", expiryTimestamp: instant(600) },
      refresh: { token: "refresh-secret" },
    },
  });
  writeFileSync(
    home.file("sessions.yaml"),
    cacheFile("SessionCache", "sessions", [session(server.origin), session("https://127.0.0.1:1")]),
    { mode: 0o600 },
  );
}

const stored = (home: ReturnType<typeof createHome>, name: string): string =>
  readFileSync(home.file(name), "utf8");

test("one context: its credential and session are forgotten and revoked, the others stay", async () => {
  using home = createHome();
  seed(home);
  const path = writeKubeconfig(home.path, { cluster: CLUSTER, args: ARGS });
  const run = await runCommand(["logout", `--kubeconfig=${path}`], home);
  assert.equal(run.error, undefined, run.errors);
  assert.equal(
    run.output,
    [
      'Forgot the cluster credential of context "ctx".',
      `Forgot the session at the issuer ${server.origin}.`,
      `Revoked the refresh token at the issuer ${server.origin}.`,
      `Revoked the access token at the issuer ${server.origin}.`,
      "",
    ].join("\n"),
  );
  assert.deepEqual(revoked, ["refresh-secret", "access-secret"]);
  assert.doesNotMatch(stored(home, "sessions.yaml"), new RegExp(server.origin));
  assert.match(stored(home, "sessions.yaml"), /https:\/\/127\.0\.0\.1:1"/);
  assert.equal(
    (JSON.parse(stored(home, "credentials.yaml")) as { credentials: object[] }).credentials.length,
    1,
  );
  const again = await runCommand(["logout", `--kubeconfig=${path}`], home);
  assert.equal(
    again.output,
    `No cluster credential was kept for context "ctx".\nNo session was kept for the issuer ${server.origin}.\n`,
  );
});

test("an issuer without revocation, and one that fails, are told, and the session is gone all the same", async () => {
  for (const [state, pattern, failed] of [
    ["not offered", /offers no revocation: what it issued ends by itself\.\n$/, false],
    ["broken", /^The session could not be revoked at the issuer .*\n$/, true],
  ] as const) {
    using home = createHome();
    seed(home);
    revocation = state;
    const path = writeKubeconfig(home.path, { cluster: CLUSTER, args: ARGS });
    const run = await runCommand(["logout", `--kubeconfig=${path}`], home);
    assert.match(failed ? run.errors : run.output, pattern);
    assert.equal(run.error, failed ? "the logout is not complete: one step failed, see above" : undefined);
    assert.doesNotMatch(stored(home, "sessions.yaml"), new RegExp(server.origin));
    assert.doesNotMatch(run.output + run.errors + JSON.stringify(run.context.lines), /secret/);
  }
});

test("--all forgets everything, revokes what it can, and says what it could not", async () => {
  using home = createHome();
  seed(home);
  const path = writeKubeconfig(home.path, { cluster: CLUSTER, args: ARGS });
  const run = await runCommand(["logout", "--all", `--kubeconfig=${path}`], home);
  assert.match(run.output, /^Forgot 2 cluster credentials in .*credentials\.yaml\.\n/);
  assert.match(run.output, /Forgot the session at the issuer https:\/\/127\.0\.0\.1:1\.\n/);
  assert.deepEqual(revoked, ["refresh-secret", "access-secret"]);
  assert.match(
    run.errors,
    /^The session could not be revoked at the issuer https:\/\/127\.0\.0\.1:1: .*connection refused.*; no context of the kubeconfig names this issuer, so only the system's roots were trusted: what it issued ends by itself, or whoever runs it can end it\n$/,
  );
  assert.match(run.error ?? "", /^the logout is not complete: one step failed/);
  assert.doesNotMatch(stored(home, "sessions.yaml") + stored(home, "credentials.yaml"), /secret/);
  const broken = await runCommand(["logout", "--all", "--kubeconfig=/nowhere"], home);
  assert.match(
    broken.errors,
    /^Only the default files are looked into, for the kubeconfig could not be read/,
  );
  assert.match(broken.output, /^Forgot 0 cluster credentials/);
});

test("--all trusts an issuer by whatever any context of the kubeconfigs trusts it by, and by nothing else", async () => {
  const { caPem: otherCa } = await createLoopbackCertificate();
  const user = (name: string, ca: string | undefined, issuer = server.origin): object => ({
    name,
    user: {
      exec: {
        apiVersion: "client.authentication.k8s.io/v1beta1",
        command: "lanyard",
        args: [
          "login",
          "oidc",
          `--issuer=${issuer}`,
          ...(ca === undefined ? [] : [`--ca-bundle-data=${Buffer.from(ca).toString("base64")}`]),
        ],
      },
    },
  });
  const right = user("right", certificate.caPem);
  const wrong = user("wrong", otherCa);
  const roots = user("roots", undefined);
  const elsewhere = user("elsewhere", certificate.caPem, "https://elsewhere.invalid");
  const refused = `The session could not be revoked at the issuer ${server.origin}: `;
  for (const [files, failure] of [
    [[[right]], undefined],
    [[[wrong, right]], undefined],
    [[[right, wrong]], undefined],
    [[[roots], [wrong], [right]], undefined],
    [[[wrong, roots]], /unknown authority[^;]*$/],
    [[[elsewhere]], /unknown authority.*; no context of the kubeconfig names this issuer/],
  ] as const) {
    using home = createHome();
    seed(home);
    revoked = [];
    const paths = files.map((users, index) => {
      const path = home.file(`kubeconfig-${index}`);
      writeFileSync(path, JSON.stringify({ users }));
      return path;
    });
    const run = await runCommand(["logout", "--all"], home, { environment: { KUBECONFIG: paths.join(":") } });
    const line = run.errors.split("\n").find((each) => each.startsWith(refused));
    if (failure === undefined) {
      assert.equal(line, undefined);
      assert.deepEqual(revoked, ["refresh-secret", "access-secret"]);
    } else {
      assert.match(line ?? run.errors, failure);
      assert.deepEqual(revoked, []);
    }
    assert.doesNotMatch(stored(home, "sessions.yaml"), /secret/);
  }
});

test("a file that is not safe is not touched, and the logout does not look complete", async () => {
  using home = createHome();
  seed(home);
  chmodSync(home.file("credentials.yaml"), 0o644);
  const path = writeKubeconfig(home.path, { cluster: CLUSTER, args: ARGS });
  const before = stored(home, "credentials.yaml");
  const run = await runCommand(["logout", `--kubeconfig=${path}`], home);
  assert.match(run.errors, /^The credential cache cannot be used: /);
  assert.equal(run.error, "the logout is not complete: one step failed, see above");
  assert.equal(stored(home, "credentials.yaml"), before);
  assert.match(run.output, /Forgot the session/);
});

test("login static: the token's owner is reminded; other users are no business of this program", async () => {
  using home = createHome();
  const path = writeKubeconfig(home.path, {
    cluster: CLUSTER,
    args: ["login", "static", "--token=given-secret"],
  });
  const run = await runCommand(["logout", `--kubeconfig=${path}`], home);
  assert.match(run.output, /The token itself stays where it is: its owner must withdraw it\.\n$/);
  assert.ok(!existsSync(home.file("sessions.yaml")));
  const other = writeKubeconfig(home.path, { cluster: CLUSTER, user: { token: "x" } });
  assert.match(
    (await runCommand(["logout", `--kubeconfig=${other}`], home)).error ?? "",
    /^the user of context "ctx" does not log in with this program/,
  );
});
