import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createScriptedTerminal, createTestLogin } from "../../../test/oidc/cli-login.ts";
import type { ScriptedIssuer } from "../../../test/oidc/cli-scripted-issuer.ts";
import { startScriptedIssuer } from "../../../test/oidc/cli-scripted-issuer.ts";
import { createTestContext } from "../http/testing/context.ts";

const CLI_PASSWORD = {
  upstreamIdentityProvider: {
    name: "corp",
    type: "oidc",
    flow: { value: "cli_password", source: "--upstream-identity-provider-flow" },
  },
};
const NAMELESS = { upstreamIdentityProvider: { ...CLI_PASSWORD.upstreamIdentityProvider, name: "" } };

describe("cli_password", { timeout: 80_000 }, () => {
  let issuer: ScriptedIssuer;
  before(async () => {
    issuer = await startScriptedIssuer();
  });
  after(() => issuer.stop());

  test("asks on stderr, the password without echo, and sends both as headers", async () => {
    const context = createTestContext({ terminal: true });
    const terminal = createScriptedTerminal({ "Username:": "ann", "Password:": "pässwörd" }, context.stderr);
    const login = createTestLogin(context, issuer, { createTerminal: () => terminal });
    const result = await login.run(CLI_PASSWORD);

    assert.equal(context.errors(), "\nLog in to corp\n\nUsername: Password: ");
    assert.equal(context.output(), "");
    assert.deepEqual(terminal.asked, [
      { text: "Username: ", echo: true },
      { text: "Password: ", echo: false },
    ]);
    const authorize = issuer.requests.find((request) => request.path === "/oauth2/authorize");
    assert.equal(authorize?.headers["pinniped-username"], "ann");
    assert.equal(
      Buffer.from(String(authorize?.headers["pinniped-password"]), "latin1").toString("utf8"),
      "pässwörd",
    );
    assert.equal(authorize?.query.get("redirect_uri"), "http://127.0.0.1:0/callback");
    assert.equal(authorize?.query.has("response_mode"), false);
    assert.equal(authorize?.query.get("pinniped_idp_name"), "corp");
    assert.equal(login.sessions.only()?.id?.token, result.idToken);
    assert.equal(login.sessions.only()?.refresh?.token, "refresh-authorization_code-0");
    assert.match(result.expirationTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.deepEqual([...login.sessions.sessions.values()][0]?.key, {
      issuer: issuer.url,
      clientID: "pinniped-cli",
      scopes: ["groups", "offline_access", "openid", "pinniped:request-audience", "username"],
      redirect_uri: "http://localhost:0/callback",
      upstream_provider_name: "corp",
    });
  });

  test("takes username and password from the environment and logs only their variables", async () => {
    const context = createTestContext({
      environment: { PINNIPED_USERNAME: "ann", PINNIPED_PASSWORD: "s3cret-value" },
    });
    await createTestLogin(context, issuer).run({ ...NAMELESS, listenPort: 4711 });
    assert.equal(context.errors(), "");
    const logged = context.lines.map(({ message }) => message);
    assert.ok(logged.includes("Pinniped: Read username from environment variable"));
    assert.ok(logged.includes("Pinniped: Read password from environment variable"));
    assert.doesNotMatch(JSON.stringify(context.lines), /s3cret-value/);
    assert.equal(issuer.requests.at(-3)?.query.get("redirect_uri"), "http://127.0.0.1:4711/callback");
  });

  test("nothing is sent to an issuer that is no Supervisor, with a name or without", async (t) => {
    const plain = await startScriptedIssuer();
    t.after(() => plain.stop());
    plain.metadata = { "discovery.supervisor.pinniped.dev/v1alpha1": undefined };
    const context = createTestContext({
      environment: { PINNIPED_USERNAME: "ann", PINNIPED_PASSWORD: "s3cret-value" },
    });
    await assert.rejects(createTestLogin(context, plain).run(NAMELESS), {
      message: `the cli_password flow would send your password to OIDC issuer "${plain.url}", which does not appear to be a Pinniped Supervisor: nothing was sent; use the browser_authcode flow`,
    });
    await assert.rejects(createTestLogin(context, plain).run(CLI_PASSWORD), /does not offer Pinniped-style/);
    assert.deepEqual(
      [...new Set(plain.requests.map(({ path }) => path))],
      ["/.well-known/openid-configuration"],
    );
  });

  const refusals: readonly [
    name: string,
    answer: (state: string, redirectUri: string) => { status: number; location?: string },
    message: string | RegExp,
  ][] = [
    [
      "no redirect",
      () => ({ status: 200 }),
      "error getting authorization: expected to be redirected, but response status was 200 OK (audit ID a-1)",
    ],
    [
      "a wrong place",
      (state) => ({ status: 302, location: `http://127.0.0.1:1/callback?code=c0de&state=${state}` }),
      /^error getting authorization: redirected to the wrong location: http:\/\/127\.0\.0\.1:1\/callback\?code=redacted&state=\w+ \(audit ID a-1\)$/,
    ],
    [
      "a place that only begins right",
      (state, uri) => ({ status: 302, location: `${uri}.example.com?code=c0de&state=${state}` }),
      /^error getting authorization: redirected to the wrong location: /,
    ],
    [
      "a wrong state",
      (_state, uri) => ({ status: 303, location: `${uri}?code=c0de&state=x` }),
      "missing or invalid state parameter in authorization response: http://127.0.0.1:0/callback?code=redacted&state=x (audit ID a-1)",
    ],
    [
      "an error",
      (state, uri) => ({ status: 302, location: `${uri}?error=access_denied&state=${state}` }),
      'login failed with code "access_denied" (audit ID a-1)',
    ],
    [
      "an error with a description",
      (state, uri) => ({
        status: 302,
        location: `${uri}?error=access_denied&error_description=no%1b[1m+way&state=${state}`,
      }),
      'login failed with code "access_denied": no [1m way (audit ID a-1)',
    ],
  ];
  for (const [name, answer, message] of refusals) {
    test(`an answer with ${name}`, async (t) => {
      const refusing = await startScriptedIssuer();
      t.after(() => refusing.stop());
      refusing.answers.set("/oauth2/authorize", (request, response) => {
        const { status, location } = answer(
          request.query.get("state") ?? "",
          request.query.get("redirect_uri") ?? "",
        );
        response
          .writeHead(status, { "audit-id": "a-1", ...(location === undefined ? {} : { location }) })
          .end();
      });
      const context = createTestContext({
        environment: { PINNIPED_USERNAME: "ann", PINNIPED_PASSWORD: "s3cret-value" },
      });
      await assert.rejects(createTestLogin(context, refusing).run(NAMELESS), { message });
      assert.equal(
        refusing.requests.some(({ path }) => path === "/oauth2/token"),
        false,
      );
    });
  }

  test("a code that is not taken", async (t) => {
    const refusing = await startScriptedIssuer();
    t.after(() => refusing.stop());
    refusing.answers.set("/oauth2/token", (_request, response) =>
      response
        .writeHead(400, { "audit-id": "a-2" })
        .end('{"error":"invalid_grant","error_description":"used"}'),
    );
    const context = createTestContext({
      environment: { PINNIPED_USERNAME: "ann", PINNIPED_PASSWORD: "s3cret-value" },
    });
    await assert.rejects(createTestLogin(context, refusing).run(NAMELESS), {
      message:
        "could not complete authorization code exchange: the token endpoint answered 400 Bad Request: invalid_grant: used (audit ID a-2)",
    });
  });

  test("without a terminal there is nobody to ask", async () => {
    await assert.rejects(createTestLogin(createTestContext(), issuer).run(NAMELESS), {
      message: "error prompting for username: stdin is not connected to a terminal",
    });
    const named = createTestContext({ environment: { PINNIPED_USERNAME: "ann" } });
    await assert.rejects(createTestLogin(named, issuer).run(NAMELESS), {
      message: "error prompting for password: stdin is not connected to a terminal",
    });
  });

  test("a terminal is not asked when the caller forbids it (spec.interactive false)", async () => {
    const context = createTestContext({
      terminal: true,
      environment: { KUBERNETES_EXEC_INFO: '{"spec":{"interactive":false}}' },
    });
    await assert.rejects(createTestLogin(context, issuer).run(NAMELESS), {
      message: "error prompting for username: stdin is not connected to a terminal",
    });
  });

  test("an answer with control characters is refused without being quoted", async () => {
    const context = createTestContext({
      environment: { PINNIPED_USERNAME: "ann", PINNIPED_PASSWORD: "two\nlines" },
    });
    await assert.rejects(createTestLogin(context, issuer).run(NAMELESS), {
      message: "the password holds control characters, which cannot be sent",
    });
  });
});
