import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { later, useScriptedLogin } from "../../../test/oidc/cli-login-fixture.ts";

describe("identity provider and flow", { timeout: 80_000 }, () => {
  const at = useScriptedLogin();

  const list =
    '[{"name":"corp","type":"oidc","flows":["browser_authcode","cli_password"]},{"name":"dir","type":"ldap","flows":["cli_password","browser_authcode"]},{"name":"bare","type":"oidc"}]';
  const rows: readonly [
    name: string,
    asked: { name: string; type?: string; flow?: string },
    message: string,
  ][] = [
    [
      "a flow that does not exist",
      { name: "", flow: "browser" },
      "WithLoginFlow error: loginFlow 'browser' from '--upstream-identity-provider-flow' must be 'cli_password' or 'browser_authcode'",
    ],
    [
      "a type that the Supervisor does not have",
      { name: "corp", type: "saml" },
      'unable to find upstream identity provider with type "saml", this Pinniped Supervisor supports IDP types ["github", "ldap", "oidc"]',
    ],
    [
      "a name that is not there",
      { name: "none" },
      `unable to find upstream identity provider with name "none" and type "oidc". Found these providers: ${list}`,
    ],
    [
      "a flow that the provider does not have",
      { name: "bare", flow: "cli_password" },
      `unable to find upstream identity provider with name "bare" and type "oidc" and flow "cli_password". Found these providers: ${list}`,
    ],
    [
      "a provider without flows",
      { name: "bare" },
      'unable to infer flow for upstream identity provider with name "bare" and type "oidc" because there were no flows discovered for that provider',
    ],
  ];
  for (const [name, { flow, ...asked }, message] of rows) {
    test(name, async () => {
      const source = "--upstream-identity-provider-flow";
      const upstreamIdentityProvider = {
        type: "oidc",
        ...asked,
        ...(flow === undefined ? {} : { flow: { value: flow, source } }),
      };
      await assert.rejects(at.login.run({ upstreamIdentityProvider }), { message });
    });
  }

  test("a name at an issuer that is no Supervisor", async () => {
    at.issuer.metadata = { "discovery.supervisor.pinniped.dev/v1alpha1": undefined };
    await assert.rejects(at.login.run({ upstreamIdentityProvider: { name: "corp", type: "oidc" } }), {
      message: `upstream identity provider name "corp" was specified, but OIDC issuer "${at.issuer.url}" does not offer Pinniped-style IDP discovery, so it does not appear to be a Pinniped Supervisor; specifying an upstream identity provider name is only meant to be used with Pinniped Supervisors`,
    });
  });

  test("the first flow of a provider is its default, and types are not checked where none are told", async () => {
    at.issuer.identityProviders = {
      pinniped_identity_providers: [{ name: "dir", type: "ldap", flows: ["cli_password"] }],
    };
    await at.login.run({ upstreamIdentityProvider: { name: "dir", type: "ldap" } });
    assert.equal(
      at.issuer.requests.some(({ headers }) => headers["pinniped-username"] === "ann"),
      true,
    );
  });

  test("the environment variable replaces the flag, also when it is empty", async () => {
    const asking = {
      upstreamIdentityProvider: { name: "", type: "oidc", flow: { value: "x", source: "flag" } },
    };
    const withVariable = (value: string): void =>
      at.prepare({
        environment: {
          PINNIPED_USERNAME: "ann",
          PINNIPED_PASSWORD: "p",
          PINNIPED_UPSTREAM_IDENTITY_PROVIDER_FLOW: value,
        },
      });
    withVariable("cli_password");
    await at.login.run(asking);
    withVariable("bogus");
    await assert.rejects(at.login.run(asking), {
      message:
        "WithLoginFlow error: loginFlow 'bogus' from 'PINNIPED_UPSTREAM_IDENTITY_PROVIDER_FLOW' must be 'cli_password' or 'browser_authcode'",
    });
    withVariable("");
    await assert.rejects(
      at.login.run({ ...asking, skipListen: true }),
      /must have either a localhost listener/,
    );
  });

  test("a bad flow is an error even where a session would answer", async () => {
    at.remember({ id: { token: await at.issuer.sign({}), expiryTimestamp: later(3000) } });
    await assert.rejects(
      at.login.run({
        upstreamIdentityProvider: { name: "", type: "oidc", flow: { value: "x", source: "f" } },
      }),
      /loginFlow 'x' from 'f'/,
    );
  });
});
