import assert from "node:assert/strict";
import { after, test } from "node:test";
import { createLoopbackCertificate } from "../../../test/oidc/certificates.ts";
import { startTlsServer } from "../../../test/oidc/tls-server.ts";
import { readConfiguredPlugin } from "../exec-credential/configured-plugin.ts";
import { createTestContext } from "../http/testing/context.ts";
import { checkIssuer } from "./check-issuer.ts";
import { createFindings, type Finding } from "./finding.ts";

const certificate = await createLoopbackCertificate();
let keys: readonly object[] = [{}];
const server = await startTlsServer(certificate, (request, response) => {
  const documents: Readonly<Record<string, unknown>> = {
    "/.well-known/openid-configuration": {
      issuer: server.origin,
      authorization_endpoint: `${server.origin}/authorize`,
      token_endpoint: `${server.origin}/token`,
      jwks_uri: `${server.origin}/keys`,
      "discovery.supervisor.pinniped.dev/v1alpha1": {
        pinniped_identity_providers_endpoint: `${server.origin}/providers`,
      },
    },
    "/keys": { keys },
    "/providers": {
      pinniped_identity_providers: [{ name: "corp", type: "ldap", flows: ["cli_password"] }],
    },
  };
  response
    .writeHead(200, { "content-type": "application/json" })
    .end(JSON.stringify(documents[request.url ?? ""]));
});
after(() => server.stop());

async function examine(...flags: readonly string[]): Promise<readonly Finding[]> {
  const args = [
    "login",
    "oidc",
    `--issuer=${server.origin}`,
    `--ca-bundle-data=${Buffer.from(certificate.caPem).toString("base64")}`,
    ...flags,
  ];
  const findings = createFindings(() => {});
  const plugin = readConfiguredPlugin(createTestContext(), { exec: { command: "lanyard", args } });
  await checkIssuer(findings, plugin ?? assert.fail());
  return findings.all;
}

const last = async (...flags: readonly string[]): Promise<string> => {
  const found = (await examine(...flags)).at(-1);
  return `${found?.status} ${found?.check}: ${found?.message}`;
};
const NAME = "--upstream-identity-provider-name=corp";
const LDAP = "--upstream-identity-provider-type=ldap";

test("a Supervisor is told from other issuers, and its identity provider and flow are looked up", async () => {
  assert.ok((await examine()).some(({ message }) => message === "it is a Supervisor"));
  assert.equal(await last(NAME, LDAP), 'ok identity provider: "corp" of type "ldap" is there');
  assert.equal(
    await last(NAME, LDAP, "--upstream-identity-provider-flow=cli_password"),
    'ok identity provider: "corp" of type "ldap" with flow "cli_password" is there',
  );
  assert.equal(
    await last(NAME, LDAP, "--upstream-identity-provider-flow=browser_authcode"),
    'fail identity provider: "corp" does not offer the flow "browser_authcode", but cli_password',
  );
  assert.equal(
    await last(NAME),
    'fail identity provider: the Supervisor has no "corp" of type "oidc", but corp (ldap)',
  );
});

test("an issuer without keys, and one that is no https address", async () => {
  keys = [];
  assert.equal(await last(), "fail issuer keys: the key set cannot be used (200 OK)");
  keys = [{}];
  assert.equal(await last(), "ok issuer keys: 1 signing key");
  assert.equal(await last("--issuer=http://x"), "fail issuer: --issuer is not an https URL");
});

test("a text of a server cannot add lines to the findings", () => {
  const findings = createFindings(() => {});
  findings.fail("x", "a\nok    y: \u001b[2Jb", "c\r\nd");
  assert.deepEqual(findings.all, [
    { check: "x", status: "fail", message: "a ok    y:  [2Jb", remedy: "c d" },
  ]);
});
