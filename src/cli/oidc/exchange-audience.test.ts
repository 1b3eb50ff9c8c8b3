import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { later, PASSWORD_FLOW, SECRETS, useScriptedLogin } from "../../../test/oidc/cli-login-fixture.ts";

describe("the exchange", { timeout: 80_000 }, () => {
  const at = useScriptedLogin();

  const JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt";
  const rows: readonly [
    name: string,
    answer: { status?: number; type?: string | null; body?: string; json?: Record<string, unknown> },
    message: string | RegExp,
  ][] = [
    ["another status", { status: 403 }, "unexpected HTTP response status 403"],
    ["a server error", { status: 502 }, "unexpected HTTP response status 502"],
    ["no content type", { type: null }, "failed to decode content-type header: mime: no media type"],
    ["a broken content type", { type: "nonsense" }, "failed to decode content-type header: nonsense"],
    [
      "another content type",
      { type: "text/html; charset=utf-8" },
      'unexpected HTTP response content type "text/html"',
    ],
    ["no JSON", { body: "eyJsecret" }, "failed to decode response: the body is not JSON"],
    ["another token type", { json: { token_type: "bearer" } }, 'got unexpected token_type "bearer"'],
    [
      "another issued token type",
      { json: { token_type: "N_A", issued_token_type: "saml" } },
      'got unexpected issued_token_type "saml"',
    ],
    [
      "no JWT",
      { json: { token_type: "N_A", issued_token_type: JWT_TYPE, access_token: "eyJsecret" } },
      /^received invalid JWT: [^]*$/,
    ],
  ];
  for (const [name, answer, message] of rows) {
    test(`an answer with ${name}`, async () => {
      at.remember({ access: { token: SECRETS.access, expiryTimestamp: later(60) } });
      at.issuer.answers.set("/oauth2/token", (_request, response) => {
        const { status = 200, type = "application/json", body, json = {} } = answer;
        response.writeHead(status, {
          "audit-id": "a-3",
          ...(type === null ? {} : { "content-type": type }),
        });
        response.end(body ?? JSON.stringify(json));
      });
      const text = typeof message === "string" ? message : message.source.replace(/^\^|\$$/g, "");
      const expected =
        typeof message === "string"
          ? `failed to exchange token: ${text} (audit ID a-3)`
          : new RegExp(`^failed to exchange token: ${text} \\(audit ID a-3\\)$`);
      await assert.rejects(at.login.run({ requestAudience: "prod" }), (error: Error) => {
        assert.doesNotMatch(error.message, /secret|eyJ/);
        if (typeof expected === "string") {
          assert.equal(error.message, expected);
        } else {
          assert.match(error.message, expected);
        }
        return true;
      });
      at.assertNothingSecretWasTold();
    });
  }

  test("a JWT for another audience or of another signer", async () => {
    at.remember({ access: { token: SECRETS.access, expiryTimestamp: later(60) } });
    at.issuer.claims = { aud: ["test"] };
    await assert.rejects(at.login.run({ requestAudience: "prod" }), {
      message: 'failed to exchange token: received invalid JWT: unexpected "aud" claim value',
    });
    at.issuer.claims = {};
    at.issuer.foreignKey = true;
    await assert.rejects(at.login.run({ requestAudience: "prod" }), {
      message: "failed to exchange token: received invalid JWT: signature verification failed",
    });
  });

  test("JSON with parameters in its type is JSON", async () => {
    at.remember({ access: { token: SECRETS.access, expiryTimestamp: later(60) } });
    at.issuer.answers.set("/oauth2/token", async (_request, response) => {
      response.writeHead(200, { "content-type": "application/json;charset=UTF-8" });
      response.end(
        JSON.stringify({
          token_type: "N_A",
          issued_token_type: JWT_TYPE,
          access_token: await at.issuer.sign({ aud: ["prod"] }),
        }),
      );
    });
    await at.login.run({ requestAudience: "prod" });
  });

  test("a new login is exchanged only if its audience is another", async () => {
    await at.login.run({ ...PASSWORD_FLOW, requestAudience: "prod" });
    assert.deepEqual(at.grants().slice(-1), ["urn:ietf:params:oauth:grant-type:token-exchange"]);
    assert.equal(typeof at.login.sessions.only()?.refresh?.token, "string");
  });
});
